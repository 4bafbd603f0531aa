"""``python -m recipe.zppo.world [out_dir] [--seed N] [--difficulty firm|mild|spread] [--force]``: builds a world."""

import json
import sys

from recipe.zppo.config.ending import Arguments, command, place
from recipe.zppo.world.build import build_world
from recipe.zppo.world.settings import WRONG_PRICE_PROBABILITIES


@command("error")
def main() -> int:
    parser = Arguments(prog="python -m recipe.zppo.world", description="Builds the embedded world.")
    parser.add_argument("out_dir", type=place, nargs="?", help="its folder (default: in the user's cache folder)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--difficulty", choices=sorted(WRONG_PRICE_PROBABILITIES), default="firm")
    parser.add_argument("--force", action="store_true", help="build it again even if it is there")
    args = parser.parse_args()
    paths = build_world(args.out_dir, seed=args.seed, difficulty=args.difficulty, force=args.force)
    measured = json.loads(paths.meta.read_text())["measured"]
    print(
        f"world: {paths.root}\n"
        f"student before RL: {measured['plain_accuracy']:.1%} of the training questions right, "
        f"{measured['all_wrong_share']:.1%} wrong in all 8 samples, of which the teacher solves "
        f"{measured['teacher_solves_all_wrong']:.1%}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
