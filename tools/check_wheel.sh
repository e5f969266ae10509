#!/usr/bin/env bash
# The wheel alone, as somebody without a clone has it: built of the files that
# git knows, installed into an environment of its own, and used from an empty
# folder: doctor, a corpus, a tiny training, classify with what was trained.
#
# > tools/check_wheel.sh
#
# The dependencies are those of .venv (torch alone is gigabytes): they are on
# the new environment's path, the clone and its editable installation are not.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
python=${VENV_PYTHON:-$root/.venv/bin/python}
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
unset PYTHONPATH

mkdir "$place/source" "$place/empty"
git -C "$root" ls-files -z | (cd "$root" && xargs -0 cp --parents -t "$place/source")
(cd "$place/source" && "$python" -c '
import sys
from setuptools.build_meta import build_wheel
build_wheel(sys.argv[1])' "$place") > "$place/build.log" 2>&1 ||
    { tail -n 20 "$place/build.log"; exit 1; }
rm -r "$place/source"

"$python" -m venv --without-pip "$place/env"
site=$("$place/env/bin/python" -c 'import site; print(site.getsitepackages()[0])')
"$python" -m pip --python "$place/env/bin/python" install --quiet --no-index \
    --no-deps --disable-pip-version-check "$place"/*.whl
# A path in a .pth file is on the path; the .pth files in that path are not run.
"$python" -c 'import site; print(site.getsitepackages()[0])' > "$site/others.pth"

cd "$place/empty"
PATH="$place/env/bin:$PATH"
package=$(python -c 'import speechbrain_c2ser as p; print(p.__file__)')
[[ $package == "$place"/* ]] || { echo "not from the wheel: $package"; exit 1; }

run() {  # its last line; all of it where it fails
    if "$@" > "$place/log" 2>&1; then
        echo "[wheel] $*" | sed "s|$place/||g"
        tr '\r' '\n' < "$place/log" | tail -n 1 | cut -c 1-90
    else
        echo "[wheel] failed: $*"
        tail -n 20 "$place/log"
        exit 1
    fi
}

run c2ser doctor
run c2ser train Synthetic/prepare corpus.yaml --save_folder=corpus \
    --train_voices=2 --valid_voices=1 --test_voices=1 --train_repeats=1 \
    --valid_repeats=1 --test_repeats=1 --num_workers=1
run c2ser train EmotionRecognition from_scratch.yaml --device=cpu \
    --train_manifest=corpus/train.json --valid_manifest=corpus/valid.json \
    --output_folder=run --number_of_epochs=1
run c2ser classify corpus/test.json --model run/classifier --device cpu \
    --format jsonl -o heard.jsonl
python - <<'END'
import json

rows = [json.loads(line) for line in open("heard.jsonl", encoding="utf-8")]
assert len(rows) == len(json.load(open("corpus/test.json"))), len(rows)
assert all(row["label"] in row["labels"] for row in rows), rows[0]
print(f"[wheel] {len(rows)} recordings classified by what the wheel trained")
END
