// The native half of io.edgetx.example.TextModel.
#include <memory>
#include <mutex>
#include <string>

#include "edge_tx/engine.hpp"
#include "edge_tx/error.hpp"
#include "edge_tx/extension.hpp"
#include "io_edgetx_example_TextModel.h"

namespace {

// What a Java object holds: an engine, and a lock, as Java may call from any thread.
struct Model {
    edge_tx::Package package;
    std::unique_ptr<edge_tx::Engine> engine;
    std::mutex lock;
};

Model& model_of(jlong handle) { return *reinterpret_cast<Model*>(handle); }

void throw_java(JNIEnv* env, int code, const std::string& message) {
    const auto type = env->FindClass("io/edgetx/example/EdgeTxException");
    const auto make = env->GetMethodID(type, "<init>", "(Ljava/lang/String;I)V");
    const auto text = env->NewStringUTF(message.c_str());
    if (make != nullptr && text != nullptr) {
        env->Throw(static_cast<jthrowable>(env->NewObject(type, make, text, jint{code})));
    }
}

// Runs a native method's body: no C++ exception may pass into Java.
template <typename Body>
auto guarded(JNIEnv* env, const Body& body) noexcept -> decltype(body()) {
    try {
        return body();
    } catch (const edge_tx::Error& problem) {
        throw_java(env, problem.exit_code(), problem.what());
    } catch (const std::exception& problem) {
        throw_java(env, static_cast<int>(edge_tx::Failure::runtime), problem.what());
    }
    return {};
}

// UTF-8 bytes: JNI's own strings are in a UTF-8 of their own, wrong for emoji and for NUL.
std::string text(JNIEnv* env, jbyteArray bytes) {
    std::string copy(static_cast<std::size_t>(env->GetArrayLength(bytes)), '\0');
    env->GetByteArrayRegion(bytes, 0, static_cast<jsize>(copy.size()),
                            reinterpret_cast<jbyte*>(copy.data()));
    return copy;
}

jlongArray longs(JNIEnv* env, const std::vector<std::int64_t>& values) {
    static_assert(sizeof(jlong) == sizeof(std::int64_t));
    const auto array = env->NewLongArray(static_cast<jsize>(values.size()));
    if (array != nullptr) {
        env->SetLongArrayRegion(array, 0, static_cast<jsize>(values.size()),
                                reinterpret_cast<const jlong*>(values.data()));
    }
    return array;
}

jfloatArray floats(JNIEnv* env, const std::vector<float>& values) {
    const auto array = env->NewFloatArray(static_cast<jsize>(values.size()));
    if (array != nullptr) {
        env->SetFloatArrayRegion(array, 0, static_cast<jsize>(values.size()), values.data());
    }
    return array;
}

jobjectArray strings(JNIEnv* env, const std::vector<std::string>& values) {
    const auto type = env->FindClass("[B");
    const auto array = env->NewObjectArray(static_cast<jsize>(values.size()), type, nullptr);
    for (std::size_t i = 0; array != nullptr && i < values.size(); ++i) {
        const auto size = static_cast<jsize>(values[i].size());
        const auto bytes = env->NewByteArray(size);
        if (bytes == nullptr) {
            return nullptr;  // Java's OutOfMemoryError is pending
        }
        env->SetByteArrayRegion(bytes, 0, size, reinterpret_cast<const jbyte*>(values[i].data()));
        env->SetObjectArrayElement(array, static_cast<jsize>(i), bytes);
        env->DeleteLocalRef(bytes);
    }
    return array;
}

}  // namespace

JNIEXPORT jlong JNICALL Java_io_edgetx_example_TextModel_openNative(JNIEnv* env, jclass /*type*/,
                                                                    jbyteArray folder,
                                                                    jbyteArray extension) {
    return guarded(env, [&]() -> jlong {
        auto model = std::make_unique<Model>();
        const auto named = text(env, extension);
        model->package = edge_tx::open_text_in(text(env, folder));
        model->engine =
            edge_tx::open_openvino(model->package, named.empty() ? edge_tx::tokenizers_extension()
                                                                 : std::filesystem::path(named));
        return reinterpret_cast<jlong>(model.release());
    });
}

JNIEXPORT jobjectArray JNICALL Java_io_edgetx_example_TextModel_labelsNative(JNIEnv* env,
                                                                             jclass /*type*/,
                                                                             jlong handle) {
    return guarded(env, [&] { return strings(env, model_of(handle).package.labels); });
}

JNIEXPORT jobject JNICALL Java_io_edgetx_example_TextModel_answerNative(JNIEnv* env,
                                                                        jclass /*type*/,
                                                                        jlong handle,
                                                                        jbyteArray question) {
    return guarded(env, [&]() -> jobject {
        auto& model = model_of(handle);
        if (model.package.pair) {
            throw edge_tx::Error(edge_tx::Failure::input, "this graph takes a text and its pair");
        }
        const edge_tx::Texts asked{model.package.prompt + text(env, question)};
        const auto answer = [&] {
            const std::lock_guard<std::mutex> held(model.lock);
            return model.engine->answer(asked);
        }();
        const auto type = env->FindClass("io/edgetx/example/Answer");
        const auto make = env->GetMethodID(type, "<init>", "([J[JLjava/lang/String;[F)V");
        const auto& output = answer.outputs.at(0);
        return env->NewObject(type, make, longs(env, answer.tokens.ids),
                              longs(env, answer.tokens.type_ids),
                              env->NewStringUTF(output.name.c_str()), floats(env, output.values));
    });
}

JNIEXPORT void JNICALL Java_io_edgetx_example_TextModel_closeNative(JNIEnv* /*env*/,
                                                                    jclass /*type*/, jlong handle) {
    delete &model_of(handle);
}
