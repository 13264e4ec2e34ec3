#!/usr/bin/env bash
# Make the picture of the README: the first screen of a comparison report on the demo posts. Needs `make setup` and
# chromium, and takes about five minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
report=build/readme-picture
.venv/bin/jointune compare src/jointune/demo/data/posts.csv --split-column split \
  --methods joint,frozen,late,text,image --out "$report" --force
"${CHROMIUM:-chromium}" --headless --no-sandbox --disable-gpu --hide-scrollbars --window-size=1100,670 \
  --screenshot="$report/screen.png" "file://$PWD/$report/report.html#answer"
mkdir -p docs/pictures
.venv/bin/python -c '
import sys
from PIL import Image
Image.open(sys.argv[1]).convert("RGB").quantize(256).save(sys.argv[2], optimize=True)
' "$report/screen.png" docs/pictures/demo-report.png
