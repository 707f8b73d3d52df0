// A bundle in one .etx file: a zip that holds manifest.json and what it names, nothing compressed.
// Runs in Node.js and in browsers.

import { unzipSync } from "fflate";

import { BundleError, filesOf, parseManifest } from "./manifest.mjs";

const MANIFEST = "manifest.json";
const MAX_MANIFEST = 16 << 20;

/** An archive in memory, of which each file is compared with its hash as it is read. */
export class Archive {
  #bytes;
  #place;

  /**
   * @param {Uint8Array} bytes
   * @param {string} place Its name, for messages.
   * @throws {BundleError} It is not an archive of edge_tx, of a newer one, or holds what it must not.
   */
  constructor(bytes, place) {
    this.#bytes = bytes;
    this.#place = place;
    const members = this.#list();
    const text = new TextDecoder().decode(this.#extract(MANIFEST));
    this.manifest = parseManifest(text, `${MANIFEST} in ${place}`);
    for (const { path, size } of filesOf(this.manifest)) {
      if (members.get(path) !== size) {
        throw new BundleError(`${place} is damaged: ${path} has ${members.get(path) ?? "no"} bytes, not ${size}`);
      }
      members.delete(path);
    }
    members.delete(MANIFEST);
    for (const name of members.keys()) throw new BundleError(`${place} holds ${name}, which its manifest does not name`);
  }

  /**
   * @param {{path: string, size: number, sha256: string}} record Of the manifest.
   * @returns {Promise<Uint8Array<ArrayBuffer>>} A copy of the file.
   * @throws {BundleError} It is damaged.
   */
  async read({ path, size, sha256 }) {
    const bytes = this.#extract(path);
    if (bytes?.length !== size || (await hash(bytes)) !== sha256) {
      throw new BundleError(`${path} in ${this.#place} is damaged: its sha256 is not the manifest's; copy it again`);
    }
    return bytes;
  }

  /** Sizes by name. Whatever is odd about a member ends it, so that no count can make it long. */
  #list() {
    const members = new Map();
    this.#unzip(({ name, size, originalSize, compression }) => {
      if (compression !== 0 || size !== originalSize) throw new BundleError(`${this.#place} is compressed: pack it with edge-tx`);
      if (members.has(name)) throw new BundleError(`${this.#place} holds ${name} twice`);
      members.set(name, size);
      return false;
    });
    if (members.keys().next().value !== MANIFEST || members.get(MANIFEST) > MAX_MANIFEST) {
      throw new BundleError(`${this.#place} is not a bundle: it does not begin with its ${MANIFEST}`);
    }
    return members;
  }

  #extract(wanted) {
    return this.#unzip(({ name }) => name === wanted)[wanted];
  }

  #unzip(filter) {
    try {
      return unzipSync(this.#bytes, { filter });
    } catch (error) {
      if (error instanceof BundleError) throw error;
      throw new BundleError(`${this.#place} is not a bundle, or is cut off: ${error.message}`);
    }
  }
}

/** SHA-256 of bytes, in hexadecimal. */
export async function hash(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
