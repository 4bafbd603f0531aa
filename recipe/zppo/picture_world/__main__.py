"""``python -m recipe.zppo.picture_world [out_dir] [--seed N] [--smoke] [--force]``: builds a world with pictures."""

import json
import sys

from recipe.zppo.config.ending import Arguments, command, place
from recipe.zppo.picture_world.build import build_picture_world
from recipe.zppo.picture_world.settings import PictureWorldSettings


@command("error")
def main() -> int:
    parser = Arguments(prog="python -m recipe.zppo.picture_world", description="Builds a picture world.")
    parser.add_argument("out_dir", type=place, nargs="?", help="its folder (default: in the user's cache folder)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a world of models that know little, in half a minute")
    parser.add_argument("--force", action="store_true", help="build it again even if it is there")
    args = parser.parse_args()
    if args.smoke and args.out_dir is None:
        parser.error("--smoke needs out_dir: the cache keeps whole worlds")
    settings = PictureWorldSettings.smoke(args.seed) if args.smoke else PictureWorldSettings(args.seed)
    paths = build_picture_world(args.out_dir, settings=settings, force=args.force)
    measured = json.loads(paths.meta.read_text())["measured"]
    print(
        f"world: {paths.root}\n"
        f"held-out questions right: student before RL {measured['val_plain_accuracy']:.1%}, "
        f"teacher {measured['val_teacher_accuracy']:.1%}\n"
        f"training questions: the student has {measured['all_wrong_share']:.1%} wrong in all 8 samples, "
        f"of which the teacher solves {measured['teacher_solves_all_wrong']:.1%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
