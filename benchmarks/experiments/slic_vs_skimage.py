"""Our SLIC beside scikit-image's: labels and time, in one run.

    python -m fusiongcn_edge.benchmarks.experiments.slic_vs_skimage --model BUNDLE --pairs DIR

On the guide of each pair, with the superpixel settings of the model. Needs scikit-image. Each pair is done by both in
turn, and CPU time is compared, so that the ratio means something on a machine that does other things too.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import process_time

import numpy as np

from fusiongcn_edge.benchmarks.script import exit_code, new_parser
from fusiongcn_edge.runtime.bundle.manifest import Bundle
from fusiongcn_edge.runtime.bundle.reader import load_bundle
from fusiongcn_edge.runtime.errors import FusionError
from fusiongcn_edge.runtime.io.images import read_image
from fusiongcn_edge.runtime.io.pairs import find_pairs
from fusiongcn_edge.runtime.networks.fusiongcn_inputs import guide_image, network_input
from fusiongcn_edge.runtime.segmentation.settings import SlicSettings
from fusiongcn_edge.runtime.segmentation.slic import slic


def main() -> int:
    """Print the table; 0 if every pair was compared."""
    parser = new_parser("experiments.slic_vs_skimage", __doc__)
    parser.add_argument("--model", required=True, metavar="NAME|PATH", help="the bundle to measure")
    parser.add_argument("--pairs", type=Path, required=True, metavar="DIR")
    arguments = parser.parse_args()
    return exit_code(lambda: _table(load_bundle(arguments.model), arguments.pairs))


def _table(bundle: Bundle, root: Path) -> None:
    from skimage.segmentation import slic as reference

    how = bundle.superpixels
    if not isinstance(how, SlicSettings):
        raise FusionError(
            "The superpixels of this model are not scikit-image's", fix="name a model of the published network"
        )
    differences, ratios = [], []
    print("set         pair   size       N     pixels differing   time / scikit-image's")
    for pair in find_pairs(root):
        images = network_input(read_image(pair.a), read_image(pair.b))
        guide = guide_image(images, how.guide_kernel, how.guide_bias)
        wanted = how.wanted(*guide.shape)
        start = process_time()
        ours = slic(guide, wanted, how.compactness, how.sigma, how.iterations)
        middle = process_time()
        theirs = reference(guide, wanted, how.compactness, how.iterations, how.sigma, start_label=0, channel_axis=None)
        ratio = (middle - start) / (process_time() - middle)
        difference = float(np.mean(ours != theirs))
        differences.append(difference)
        ratios.append(ratio)
        size = f"{guide.shape[1]}x{guide.shape[0]}"
        print(f"{pair.set:<12}{pair.name:<7}{size:<11}{ours.max() + 1:<6}{difference:>14.4%}   {ratio:.2f}", flush=True)
    print(
        f"\n{sum(d == 0 for d in differences)} of {len(differences)} exactly equal; "
        f"worst {max(differences):.4%} of pixels; "
        f"time ratio: median {np.median(ratios):.2f}, worst {max(ratios):.2f}"
    )


if __name__ == "__main__":
    sys.exit(main())
