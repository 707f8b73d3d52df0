from __future__ import annotations
import json
from pathlib import Path
import edge_tx

def test_first(fake_bundle, tmp_path):
    b = fake_bundle("sentence-embedding")
    f = tmp_path/"in.jsonl"
    f.write_text("".join(json.dumps({"id": i, "text": " ".join(["cat","dog","sat"][: 1+i%3])})+"\n" for i in range(50)) + "{bad\n" + '{"id": 3}\n')
    r = edge_tx.batch(b, f, tmp_path/"out", id_column="id", shard_rows=20, progress=print)
    print(json.dumps(r.to_dict(), indent=1))
    import pyarrow.parquet as pq
    t = pq.read_table(tmp_path/"out"); print(t.schema, t.num_rows, t.slice(0,2).to_pylist())
    print((tmp_path/"out/_journal.jsonl").read_text(), (tmp_path/"out/_dead_letters.jsonl").read_text())
    r = edge_tx.batch(b, f, tmp_path/"out2", output_format="jsonl", embedding_type="int8", max_rss="2G")
    print(sorted(p.name for p in (tmp_path/"out2").iterdir()), (tmp_path/"out2/part-000000.jsonl").read_text()[:300])
    with edge_tx.load(b) as m:
        print(list(m.map(iter(["cat", "dog"]))))
    assert 0
