"""List, prepare, check or pack data sets."""

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from simulacra.core.errors import UsageError
from simulacra.core.home import expand_home
from simulacra.core.text import quoted
from simulacra.data.settings import SHARD_IMAGES, DataConfig
from simulacra.interfaces.arguments import Parser, Subcommand, add_actions, add_settings, examples, given
from simulacra.interfaces.display.console import Console
from simulacra.interfaces.ending import ending
from simulacra.interfaces.tables import table

if TYPE_CHECKING:
    from simulacra.data.check import Checkup

EXAMPLES = examples(
    "simulacra data list",
    "simulacra data check ~/photos --size 64",
    "simulacra data prepare mnist",
    "simulacra data pack ~/photos --size 64 --out ~/shards",
)
POSITION = ("data", 1)
_LISTED = 50  # classes, at most


def arguments(parser: Parser, words: list[str]) -> None:
    """Add the actions."""
    actions = {
        "list": Subcommand.of(_list, lambda child: None),
        "prepare": Subcommand.of(_prepare, _add_data),
        "check": Subcommand.of(_check, _add_data),
        "pack": Subcommand.of(_pack, _pack_flags),
    }
    add_actions(parser, words, actions)


def _pack_flags(parser: Parser) -> None:
    _add_data(parser)
    parser.add_argument("--out", type=expand_home, required=True, metavar="FOLDER", help="the new folder of shards")
    text = f"number of images in one shard (default: {SHARD_IMAGES})"
    parser.add_argument("--shard-images", type=int, metavar="N", default=SHARD_IMAGES, help=text)


def _add_data(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", metavar="DATA", help="a data set's name or a path, as for --data")
    add_settings(parser, "data", DataConfig)


def run(parsed: argparse.Namespace, console: Console) -> int:
    """Run the action."""
    return int(parsed.run(parsed, console))


def _config(parsed: argparse.Namespace) -> DataConfig:
    named = {"data": parsed.name} if parsed.name else {}
    if named and "data" in parsed:
        raise UsageError(f"two data sets are named, {parsed.name!r} and --data {parsed.data}: name one")
    return DataConfig.of({**given(parsed, DataConfig), **named}, "the flags")


def _list(parsed: argparse.Namespace, console: Console) -> int:
    """List the data sets: names for --data, where they are stored, whether they are decoded already."""
    from simulacra.data.sources import names

    listings = names()
    rows = [(item.name, item.size, "yes" if item.prepared else "no", item.where, item.summary) for item in listings]
    titles = ("name", "images", "prepared", "location", "summary")
    content = {item.name: asdict(item) for item in listings}
    console.result(content, lambda: ending([table(titles, rows)], "data check NAME", "train vae --data NAME"))
    return 0


def _prepare(parsed: argparse.Namespace, console: Console) -> int:
    """Find, download if needed, and decode a data set once, so that training starts immediately."""
    from simulacra.data.load import load

    data = load(_config(parsed), console)
    counts = {**{split.name: len(split) for split in data.splits}, "train": data.training_images}
    spec, attributes = data.spec, {attribute.name: list(attribute.values) for attribute in data.spec.attributes}
    content: dict[str, Any] = {"name": data.name, "digest": data.digest, "images": counts, "shape": list(spec.shape)}
    content |= {"classes": list(spec.classes), "attributes": attributes}
    content |= {"vocabulary": list(spec.vocabulary.words) if spec.vocabulary else []}
    content |= {"skipped": data.skipped.total, "notes": list(data.notes)}

    def text() -> str:
        channels, height, width = spec.shape
        line = f"{data.name}: {height}x{width}x{channels}, " + ", ".join(f"{count:,} {name}" for name, count in counts.items())
        named = attributes or {"classes": list(spec.classes)}
        classes = [f"{len(values)} {name}: {', '.join(values)}" for name, values in named.items() if values]
        if (words := spec.vocabulary) is not None:
            classes.append(
                f"{len(words.words):,} words of captions, at most {words.longest} in a caption: {', '.join(words.words)}"
            )
        skipped = [data.skipped.line()] if data.skipped.total else []
        made = [line, *classes, f"digest {data.digest}", *skipped, *data.notes]
        return ending(made, f"train vae --data {quoted(_config(parsed).data)}")

    console.result(content, text)
    return 0


def _check(parsed: argparse.Namespace, console: Console) -> int:
    """Examine every image for problems that affect training, with a remedy for each. Exit code 1 where there is one."""
    from simulacra.data.check import check

    checkup = check(_config(parsed), console)
    sizes = {f"{width}x{height}": count for (height, width), count in checkup.sizes.items()}
    content = {**asdict(checkup), "sizes": sizes, "healthy": checkup.healthy}
    console.result(content, lambda: _text(checkup, sizes, _config(parsed).data))
    return 0 if checkup.healthy else 1


def _pack(parsed: argparse.Namespace, console: Console) -> int:
    """Write the images, decoded and cropped, as tar shards that training can stream."""
    from simulacra.data.shards.pack import pack
    from simulacra.data.sources import sources

    packed = pack(_config(parsed), parsed.out, parsed.shard_images, console)
    place = quoted(f"./{parsed.out}" if str(parsed.out) in sources() else parsed.out)

    def text() -> str:
        counts = [f"{sum(shard['images'] for shard in shards):,} {name}" for name, shards in packed["shards"].items()]
        all_shards = [shard for shards in packed["shards"].values() for shard in shards]
        size, number = sum(shard["size"] for shard in all_shards), len(all_shards)
        packing = f"packed {packed['name']} into {parsed.out}: {', '.join(counts)} images"
        made = [f"{packing} in {number:,} shards, {size / 1e6:,.1f} MB", f"digest {packed['digest']}"]
        return ending(made, f"train vae --data {quoted(place)}")

    console.result(packed, text)
    return 0


def _counted(counts: Mapping[str, int]) -> str:
    """Return names with their numbers of images; of many names the first few."""
    listed = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:_LISTED])
    return listed + (f" and {len(counts) - _LISTED:,} more" if len(counts) > _LISTED else "")


def _text(checkup: "Checkup", sizes: dict[str, int], data: str) -> str:
    listed = ", ".join(f"{size} ({count:,})" for size, count in list(sizes.items())[:4])
    more = f" and {len(sizes) - 4} more" if len(sizes) > 4 else ""
    held = f", {checkup.validation:,} to validate" if checkup.validation else ""
    title = f"{checkup.name}: {checkup.train:,} images to train on{held}, {checkup.test:,} to test"
    lines = [f"{title}; sizes {listed}{more}" if listed else title]
    for name, counts in (checkup.attributes or {f"{len(checkup.classes):,} classes": checkup.classes}).items():
        lines += [f"{name}: {_counted(counts)}"] if counts else []
    if checkup.vocabulary:
        lines.append(f"captions: {checkup.vocabulary:,} different words, at most {checkup.longest_caption} in a caption")
    for finding in checkup.findings:
        such = f" ({', '.join(finding.examples)})" if finding.examples else ""
        lines.append(f"{finding.severity}: {finding.what}{such}\n    {finding.remedy}")
    if not checkup.findings:
        lines.append("no problems found")
    return ending(lines, *([f"train vae --data {quoted(data)}"] if checkup.healthy else []))
