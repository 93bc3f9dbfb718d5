#!/usr/bin/env bash
# Whatever ffmpeg can read: a network camera, a USB camera, a film, a test picture.
#
#   pipelines/04-ffmpeg-camera.sh SOURCE MODEL.onnx [OUT.db] [FRAMES]
#   pipelines/04-ffmpeg-camera.sh rtsp://10.0.0.7/stream1 model.onnx line.db
#   pipelines/04-ffmpeg-camera.sh /dev/video0 model.onnx
#   pipelines/04-ffmpeg-camera.sh film.mp4 model.onnx film.db
#   pipelines/04-ffmpeg-camera.sh test model.onnx test.db 50      moving bars, no camera needed
#
# Runs until the source ends, FRAMES are through, or Ctrl-C. FPS=2 takes two pictures a second. Pictures that are not yet stored lie in SPOOL
# (OUT.db.spool): start it again after whatever went wrong, and they are finished first.
set -euo pipefail
trap : TERM # a supervisor tells all processes to stop: the stages drain, and this script waits for them

if [ $# -lt 2 ] || [[ $1 == -* ]]; then
	sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
	exit 64
fi
command -v ffmpeg >/dev/null || {
	echo "04-ffmpeg-camera.sh: error: ffmpeg is missing; install it:  sudo apt-get install ffmpeg" >&2
	exit 69
}
# shellcheck source=pipelines/programs.sh
. "$(dirname "$0")/programs.sh"
source=$1 model=$2 out=${3:-results.db} frames=${4:-}

# How ffmpeg is to open the source. -re: no faster than a camera would.
case $source in
test) open=(-re -f lavfi -i "testsrc=size=320x240:rate=25") ;;
rtsp://*) open=(-rtsp_transport tcp -i "$source") ;; # tcp: late rather than torn pictures
/dev/video*) open=(-f v4l2 -i "$source") ;;
*) open=(-i "$source") ;;
esac
# A film can wait for the line; of what cannot, the oldest goes when the spool is full.
full=drop-oldest
[ ! -f "$source" ] || full='wait'
[ -z "${FPS:-}" ] || open+=(-vf "fps=$FPS")
[ -z "$frames" ] || open+=(-frames:v "$frames")

# -nostdin: it must not eat the terminal's keys. PPM pictures one after the other on a pipe: raw pixels, nothing is compressed on the way, and no
# matrix or range is left to guess, because ffmpeg has already made RGB of the camera's YUV.
# ffmpeg's 255 means that it was told to stop, as by Ctrl-C, which is how a live source ends.
{
	trap : TERM
	ffmpeg -nostdin -loglevel error "${open[@]}" -f image2pipe -c:v ppm - || [ $? -eq 255 ]
} |
	capture - --name "${NAME:-camera}" --spool "${SPOOL:-$out.spool}" --on-full "$full" | preprocess | infer -m "$model" | sink "$out"
