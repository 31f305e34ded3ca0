"""Loads what the command line writes in transformers and peft and compares the numbers; prints two Markdown tables.

For each family: a random model in float32, in bf16 and in shards; the same after a few steps of training; reward models of the
three kinds of ensembles on it, and adapters merged. The logits of `surefoot logprobs --logits` and the scores of `surefoot score --raw` must be those
that transformers and peft compute from the same files in float32. The first table has every comparison, the second the worst of
each family and backend.

    python check-against-transformers.py            # from anywhere; needs torch, transformers and peft
    python check-against-transformers.py --families gemma2,llama --backends tensorflow
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.update(TRANSFORMERS_VERBOSITY="error", TQDM_DISABLE="1", HF_HUB_OFFLINE="1")

import peft
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

PROGRAM = Path(__file__).resolve().parents[3] / "services" / "cli" / "bin" / "surefoot.js"
SIZES = dict(hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
FAMILIES = {
    "gpt2": dict(n_embd=48, n_layer=2, n_head=4, n_positions=64),
    "llama": dict(SIZES, head_dim=16, rope_theta=500000.0, rope_scaling=LLAMA3, attention_bias=True),
    "mistral": dict(SIZES, sliding_window=5, rms_norm_eps=1e-5),
    "qwen2": dict(SIZES, tie_word_embeddings=True, use_sliding_window=True, sliding_window=6, max_window_layers=1),
    "gemma": dict(SIZES, num_key_value_heads=1, head_dim=16, hidden_act="gelu", hidden_activation=None),
    "gemma2": dict(
        SIZES, head_dim=16, query_pre_attn_scalar=24, sliding_window=6, attn_logit_softcapping=5.0,
        final_logit_softcapping=3.0, rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=2.0),
    ),
}
TEXTS = [[3], [5, 4, 3, 2, 6, 7, 8], [(7 * i) % 50 + 2 for i in range(29)]]
# As measured for float32 (goldens/README.md).
ATOL, RTOL = 5e-5, 1e-5


class Check:
    def __init__(self, work, backend, rows):
        self.work, self.backend, self.rows = work, backend, rows
        self.texts = work / "texts.jsonl"
        self.texts.write_text("".join(json.dumps(dict(id=str(i), ids=ids)) + "\n" for i, ids in enumerate(TEXTS)))

    def surefoot(self, *words, computes=True):
        words = [str(word) for word in words] + (["--backend", self.backend] if computes else [])
        done = subprocess.run(["node", str(PROGRAM), *words], cwd=self.work, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"surefoot {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def compare(self, family, what, ours, theirs):
        ours, theirs = torch.tensor(ours).flatten(), theirs.flatten()
        distance = (ours - theirs).abs()
        passed = bool((distance <= ATOL + RTOL * theirs.abs()).all())
        largest, worst = theirs.abs().max().item(), distance.max().item()
        self.rows.append(dict(family=family, backend=self.backend, what=what, largest=largest, worst=worst, passed=passed))
        print(f"| {family} | {self.backend} | {what} | {largest:.6g} | {worst:.1e} | {'yes' if passed else 'NO'} |", flush=True)

    def logits(self, family, what, folder):
        model = load(AutoModelForCausalLM, folder)
        ours = self.surefoot("logprobs", "--model", folder, "--in", self.texts, "--logits", "--all-positions")
        for_all = [value for line in ours for row in line["logits"] for value in row]
        self.compare(family, what, for_all, torch.cat([run(model, ids)[0].flatten() for ids in TEXTS]))

    def scores(self, family, kind, ensemble):
        ours = self.surefoot("score", "--ensemble", ensemble, "--raw", "--in", self.texts)
        manifest = json.loads((ensemble / "ensemble.json").read_text())
        for index, member in enumerate(manifest["members"]):
            folder = ensemble / member["path"]
            if kind == "adapters":
                base = load(AutoModelForSequenceClassification, (ensemble / manifest["base"]).resolve(), num_labels=1)
                model = peft.PeftModel.from_pretrained(base, folder).eval()
            else:
                model = load(AutoModelForSequenceClassification, folder)
            theirs = rewards(model)
            self.compare(family, f"{kind}, member {index}", [line["scores"][index] for line in ours], theirs)
            if kind == "adapters":
                self.merged(family, index, ensemble, manifest, theirs)

    def merged(self, family, index, ensemble, manifest, unmerged):
        """The same member with its adapter worked into the weights: a folder without peft."""
        merged = ensemble.parent / f"merged-{index}"
        base, adapter = (ensemble / manifest["base"]).resolve(), ensemble / manifest["members"][index]["path"]
        self.surefoot("model", "merge", "--model", base, "--adapter", adapter, "--out", merged)
        model = load(AutoModelForSequenceClassification, merged)
        self.compare(family, f"adapters, member {index} merged", rewards(model).tolist(), unmerged)


def load(kind, folder, **config):
    """A model in float32, which must hold every weight of its files and no other, but for a new score head."""
    model, info = kind.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True, **config
    )
    # The trunk that heads share may hold the language-model head of the model it came from; a base has no score head yet.
    missing = set(info["missing_keys"]) - ({"score.weight"} if config else set())
    unexpected = set(info["unexpected_keys"]) - ({"lm_head.weight"} if "Sequence" in kind.__name__ else set())
    if missing or unexpected or info["mismatched_keys"]:
        sys.exit(f"{folder}: transformers reports {info}")
    return model.eval()


@torch.no_grad()
def run(model, ids):
    return model(input_ids=torch.tensor([ids])).logits


def rewards(model):
    return torch.stack([run(model, ids)[0, 0] for ids in TEXTS])


def summary(rows):
    """A row a family: the largest distance of logits and of scores on each backend, beside the largest number."""
    backends = list(dict.fromkeys(row["backend"] for row in rows))
    columns = [(kind, backend) for kind in ("logits", "scores") for backend in backends]
    print("\n| family | " + " | ".join(f"{kind}, {backend}" for kind, backend in columns) + " |")
    print("| --- " * (len(columns) + 1) + "|")
    for family in dict.fromkeys(row["family"] for row in rows):
        cells = []
        for kind, backend in columns:
            here = [row for row in rows if (row["family"], row["backend"]) == (family, backend)]
            here = [row for row in here if ("member" in row["what"]) == (kind == "scores")]
            cells.append(f"{max(row['worst'] for row in here):.1e} of {max(row['largest'] for row in here):.2g}")
        print(f"| {family} | " + " | ".join(cells) + " |")


def check_family(check, family, fields, task):
    folder = check.work / family
    folder.mkdir()
    like = folder / "like.json"
    special = dict(bos_token_id=0, eos_token_id=1, pad_token_id=0)
    geometry = dict(model_type=family, vocab_size=100, max_position_embeddings=64, **special)
    like.write_text(json.dumps({**geometry, **fields}))
    init = folder / "init.json"
    init.write_text(json.dumps(dict(tokenEmbedding=0.5, positionEmbedding=0.5, head=0.5, matrices="fan-in")))
    for what, flags in {
        "float32": [],
        "bf16": ["--dtype", "bf16"],
        "float32, shards": ["--max-shard-size", "30KB"],
        "bf16, shards": ["--dtype", "bf16", "--max-shard-size", "20KB"],
    }.items():
        fresh = folder / what.replace(", ", "-")
        words = ["--like", like, "--tokenizer", task / "base", "--init", init, "--out", fresh, *flags]
        check.surefoot("model", "create", *words, computes=False)
        check.logits(family, what, fresh)
    text = folder / "text.txt"
    text.write_text("how is the soup ?\nthe cake is very good .\n" * 8)
    trained, short = folder / "trained", folder / "trained-bf16"
    steps = ["--steps", 4, "--warmup-steps", 1, "--batch-size", 8]
    check.surefoot("model", "pretrain", "--model", folder / "float32", "--text", text, "--out", trained, *steps)
    check.logits(family, "trained 4 steps", trained)
    check.surefoot("model", "convert", "--model", trained, "--dtype", "bf16", "--out", short, computes=False)
    check.logits(family, "trained, converted to bf16", short)
    for kind in ["full", "heads", "adapters"]:
        ensemble = folder / kind
        words = ["--base", trained, "--pairs", task / "pairs.jsonl", "--members", 2, "--out", ensemble]
        # Fast enough that heads and adapters are far from where they began.
        check.surefoot("reward", "train", "--kind", kind, "--epochs", 2, "--learning-rate", 0.03, "--warmup-steps", 0, *words)
        check.scores(family, kind, ensemble)
    shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--backends", default="wasm,tensorflow")
    options = parser.parse_args()
    print(f"transformers {transformers.__version__}, peft {peft.__version__}, torch {torch.__version__}\n")
    print("| family | backend | what | largest number | largest distance | within 5e-5 + 1e-5 x |")
    print("| --- | --- | --- | --- | --- | --- |")
    rows = []
    for backend in options.backends.split(","):
        with tempfile.TemporaryDirectory(prefix="surefoot-check-") as work:
            check = Check(Path(work), backend, rows)
            task = check.work / "task"
            check.surefoot("task", "write", task, "--pairs", 32)
            for family in options.families.split(","):
                check_family(check, family, FAMILIES[family], task)
    summary(rows)
    failed = sum(not row["passed"] for row in rows)
    print(f"\n{len(rows)} comparisons, {failed or 'none'} beyond the tolerance")
    sys.exit(failed > 0)


main()
