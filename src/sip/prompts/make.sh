#!/bin/sh
# Makes the prompts of src/sip/prompts/en from the voice set of Asterisk, as Debian packs it (ATTRIBUTION.md). They are in the repository; this is
# how to make them anew, or another language of the same set:
#
#   sh src/sip/prompts/make.sh            needs apt-get, dpkg-deb and ffmpeg
#
# Each line: the prompt's name, then the pieces that say it, one after the other; ".N" is a pause of N tenths of a second, "~HZ/MS" a tone.
set -eu
cd "$(dirname "$0")"
language=en
package=asterisk-core-sounds-en-wav
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download -q "$package" && dpkg-deb -x "$package"_*.deb voice)
voice=$(dirname "$(find "$work/voice" -name conf-getconfno.wav)")
mkdir -p "$language"

# Joins pieces into one file at 8 kHz, mono, 16 bits: what the set has, and what a telephone carries.
make() {
    name=$1
    shift
    inputs='' labels='' count=0
    for piece in "$@"; do
        case $piece in
            .*) inputs="$inputs -f lavfi -t 0.${piece#.} -i anullsrc=r=8000:cl=mono" ;;
            '~'*)
                tone=${piece#'~'}
                inputs="$inputs -f lavfi -t 0.${tone#*/} -i sine=frequency=${tone%/*}:sample_rate=8000" ;;
            *) inputs="$inputs -i $voice/$piece.wav" ;;
        esac
        labels="$labels[$count:a]"
        count=$((count + 1))
    done
    # shellcheck disable=SC2086 # the inputs are words
    ffmpeg -nostdin -v error -y $inputs -filter_complex "${labels}concat=n=$count:v=0:a=1" \
        -ar 8000 -ac 1 -c:a pcm_s16le -bitexact -map_metadata -1 "$language/$name.wav"
}

while read -r line; do
    case $line in '' | '#'*) continue ;; esac
    # shellcheck disable=SC2086 # the pieces are words
    make $line
done <<'LIST'
welcome        hello .3
conference-id  conf-getconfno
wrong-id       conf-invalid
organizer-pin  conf-waitforleader .3 confbridge-pin vm-tocancel
wrong-pin      conf-invalidpin
too-many-tries confbridge-pin-bad
unavailable    sorry .2 please-try-call-later
lobby          pls-hold-while-try
hold           ~440/200 .9 .9 .9 .9
joined         confbridge-join
not-let-in     confbridge-lock-no-join
removed        confbridge-removed
ended          confbridge-conf-end
alone          conf-onlyperson
invited        followme/no-recording .2 followme/options
muted          confbridge-muted
unmuted        confbridge-unmuted
hand-raised    ascending-2tone
hand-lowered   descending-2tone
recorded       conf-now-recording
consent        conf-now-recording .4 if-correct-press digits/1
help           confbridge-mute-in vm-press digits/star digits/6 .5 confbridge-leave-in vm-press digits/star digits/9
goodbye        vm-goodbye
voicemail      vm-nobodyavail .2 vm-intro
beep           beep
message-saved  vm-msgsaved
LIST
ls -l "$language"
