#!/usr/bin/env bash
# The demonstration: the whole line over the pictures in parts/, and what came out. `make demo` calls it.
# BUILD is where make built (build).
set -euo pipefail
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
bin=$(cd "$BUILD/bin" && pwd)
PATH=$bin:$PATH
demo=pipelines/demo
out=$BUILD/demo
db=$out/results.db
mkdir -p "$out"

# A part passes only if the network is sure that it is good; a defect of which it is fairly sure is a
# reject; what lies between, a person looks at. README.md in this folder has the numbers behind.
rules=(--good good:0.70)
for defect in scratch dent stain missing-bore burr; do rules+=(--ng "$defect:0.60"); done

# Rows stay as they were first stored. A model that was trained since asks for a fresh store.
[ "$db" -nt "$demo/rings.onnx" ] || rm -f "$db" "$db-wal" "$db-shm" "$out/results.csv"

echo "capture $demo/parts | preprocess | infer -m $demo/rings.onnx |
    sink ${rules[*]} $db $out/results.csv"
capture "$demo/parts" | preprocess | infer -m "$demo/rings.onnx" | sink "${rules[@]}" "$db" "$out/results.csv"

# --- what came out, from the CSV that sink wrote beside the database -------------------------------------
echo
awk -F '\t' '
	# One line of CSV into field[1…]: quoted fields may hold commas and doubled quotes.
	function split_csv(line, field,    n, c, i, quoted) {
		n = 1; field[1] = ""; quoted = 0
		for (i = 1; i <= length(line); i++) {
			c = substr(line, i, 1)
			if (c == "\"") {
				if (quoted && substr(line, i + 1, 1) == "\"") { field[n] = field[n] c; i++ }
				else quoted = !quoted
			} else if (c == "," && !quoted) field[++n] = ""
			else field[n] = field[n] c
		}
		return n
	}
	FNR == 1 { file++ }
	file == 1 { truth[$1] = $2; next }
	FNR == 1 {
		n = split_csv($0, name)
		for (i = 1; i <= n; i++) column[name[i]] = i
		printf "%-14s %-13s %-13s %6s   %s\n", "picture", "truly", "said", "score", "verdict"
		next
	}
	{
		split_csv($0, field)
		image = field[column["image"]]
		sub(/.*\//, "", image)
		label = field[column["label"]]
		verdict = field[column["verdict"]]
		note = label == truth[image] ? "" : "   <- wrong"
		if (verdict == "error") note = "   <- " field[column["reason"]]
		if (verdict == "good" && truth[image] != "good") note = "   <- escaped"
		printf "%-14s %-13s %-13s %6.3f   %s%s\n", image, truth[image], label,
			field[column["score"]], verdict, note
	}
' "$demo/parts/labels.tsv" "$out/results.csv"

echo
sink --eval "$demo/parts/labels.tsv" "$db"

cat <<END

The rows are in $db (SQLite), and in $out/results.csv.
Run it again: it takes a second and stores nothing twice, because the same files are the same parts.

Next:
  PATH=$bin:\$PATH
  capture YOUR-FOLDER | preprocess | infer -m YOUR-MODEL.onnx | sink yours.db
  less pipelines/01-classify-folder.sh     the same, explained; 02 to 04: hot folder, workers, cameras
  make install                             then: andon --help
END
