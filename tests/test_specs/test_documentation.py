"""What README and docs/networks.md say of all networks together is true; needs no PyTorch."""

import re

from mmseg_deeplab_ext.specs import BACKBONES
from tests.support.golden_files import MANIFEST
from tests.support.tool_modules import REPO

PAGE = (REPO / "docs" / "networks.md").read_text(encoding="utf-8")
README = (REPO / "README.md").read_text(encoding="utf-8")


def expanded(variant):
    """``a_{b,c}`` as [a_b, a_c]."""
    start, *rest = re.split(r"\{(.*?)\}", variant)
    return [start + each + rest[1] for each in rest[0].split(",")] if rest else [start]


def test_the_page_opens_with_every_family_its_variants_and_its_output_strides():
    rows = re.findall(r"^\| \[`(\w+)`\]\(.*\) \| `(\S+)` \| ([\d, ]+) \((\d+)\) \|$", PAGE, re.M)
    assert {module: (set(expanded(variant)), *rest) for module, variant, *rest in rows} == {
        family.module: (
            {spec.model_variant for spec in family.published()},
            ", ".join(map(str, family.output_strides)),
            str(family.default_output_stride),
        )
        for family in BACKBONES
    }


def test_the_readme_counts_the_golden_files():
    assert f"against {len(MANIFEST['networks'])} outputs of the official graph" in README
