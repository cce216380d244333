#!/usr/bin/env bash
# Makes the datasets, the training and the scores of the bundled lednet again (lolblur_synth/weights/lednet.md):
#
#   benchmarks/bundled_lednet.sh sets|tests MATERIAL RUNS
#   benchmarks/bundled_lednet.sh train MATERIAL RUNS [OPTION]...      options of train-lednet
#   benchmarks/bundled_lednet.sh score MATERIAL RUNS [WEIGHTS]
#
# MATERIAL has photos/train, photos/test-only, hdr and videos/licensed, with the files that the card names. RUNS is a
# folder for everything that is made. Pairs are 560x320 and not denoised: the network sees noise of its own (--mix).
set -euo pipefail
step=$1 material=$2 runs=$3
synth=${SYNTH:-lolblur-synth}

# Photographs of the night. Their ground truth is as dark as the frames that users restore, so they come more often.
night_photos="aurora_over_water_mscomposition bogota_night_trails_budgie high_trestle_trail_bridge_budgie
  hotel_room_curtains_simpl lighthouse_dusk_elementary neon_tunnel_walkway_mstoolkit paper_lantern_dark_elementary
  pier_at_dusk_elementary sailboat_at_dusk_ccby_solus san_francisco_dusk_budgie singapore_skyline_dusk_budgie
  snowy_viaduct_night_mstoolkit spark_spiral_fire_budgie white_sand_dunes_stars_popos"

# Clips that weights may be made of; three more, of other places, are for the tests.
train_clips="bottle_table_intel butterfly_flutter cars_from_above_intel coffee_pour_sam2 gopro_karma_480p30
  palm_trees_loop_hhoppe sam2_01_dog sam2_05_default_juggle sam2_bedroom sports2d_demo_1768x994 wet_hawk_960x540_CC0"
test_clips="gopro_max_heromode_480p30 sam2_02_cups carpenter_bee_flutter"

# build_set NAME RECIPE SEED PAIRS SPLIT [OPTION]... SOURCE...   all pairs of a set are in one split
build_set() {
  local name=$1 recipe=$2 seed=$3 pairs=$4 fraction=$5
  shift 5
  "$synth" build "$@" "$runs/$name" --recipe "$recipe" --seed "$seed" --pairs "$pairs" --test-fraction "$fraction" \
    --size 560x320 --skip denoise || test $? -eq 3  # 3: some pictures are smaller than the frames, which is told
}
files() { for name in $2; do ls "$material/$1/$name".*; done; }

case $step in
sets)
  build_set sets/night-a night 1 2 0 --shoot "$material/photos/train"
  build_set sets/night-b night 2 2 0 --shoot "$material/photos/train"
  build_set sets/night-dark night 3 12 0 --shoot $(files photos/train "$night_photos")
  build_set sets/night-dark-b night 9 12 0 --shoot $(files photos/train "$night_photos")
  # Lamps in the dark: HDR pictures, exposed as a camera exposes the night. Some are too small, which is told.
  "$synth" shoot "$material/hdr" "$runs/lamps" --lightness 0.14:0.28 --seed 11 || test $? -eq 3
  build_set sets/night-lamps night 8 6 0 "$runs/lamps"
  build_set sets/night-hdr night 4 3 0 --shoot "$material/hdr"
  build_set sets/night-clips night 5 12 0 --fps 250 $(files videos/licensed "$train_clips")
  build_set sets/lolblur-a lolblur 6 2 0 --shoot "$material/photos/train"
  build_set sets/lolblur-clips lolblur 7 8 0 --fps 250 $(files videos/licensed "$train_clips")
  ;;
tests)
  build_set tests/night night 901 2 1 --shoot "$material/photos/test-only"
  build_set tests/lolblur lolblur 902 2 1 --shoot "$material/photos/test-only"
  build_set tests/night-clips night 901 4 1 --fps 250 $(files videos/licensed "$test_clips")
  build_set tests/lolblur-clips lolblur 902 4 1 --fps 250 $(files videos/licensed "$test_clips")
  ;;
train)
  # Two processes of one thread each. Ctrl-C stops in order; the same command goes on.
  OMP_NUM_THREADS=1 "$(dirname "$synth")/torchrun" --standalone --nproc-per-node=2 -m lolblur_synth.cli train-lednet \
    "$runs"/sets/* -o "$runs/lednet" --preset laptop "${@:4}"
  ;;
score)
  # WEIGHTS: a bundled name or a file
  for set in night lolblur night-clips lolblur-clips; do
    "$synth" evaluate "${4:-lednet}" "$runs/tests/$set" -o "$runs/scores/$set" --fit "$runs/sets/${set%-clips}-a" \
      --metrics psnr_rgb,ssim_y,lpips_alex
  done
  ;;
*)
  echo "bundled_lednet.sh: sets, tests, train or score" >&2
  exit 2
  ;;
esac
