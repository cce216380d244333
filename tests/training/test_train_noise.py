"""train-noise: the raw it learns from, its losses, a repeatable and resumable run, weights that the stage takes."""

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from lolblur_synth import draw as dr
from lolblur_synth import frames as fr
from lolblur_synth.camera import demosaic, dng, mosaic, tables
from lolblur_synth.cli import main
from lolblur_synth.errors import ForeignOutput, InputError, UsageError
from lolblur_synth.files import weights
from lolblur_synth.metrics import fingerprint
from lolblur_synth.models import cycleisp
from lolblur_synth.recipe.schema import NoiseConfig
from lolblur_synth.stages import noise as stage
from lolblur_synth.training import noise, noise_figures, raw_pairs

SMALL = {"size": 16, "batch_size": 2, "checkpoint_every": 2}
COLOURS = cycleisp.camera_colours(tables.PAPER_CAMERA)


def picture(seed, height, width):
    blobs = np.random.default_rng(seed).uniform(20, 255, (6, 8, 3))
    return cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for number, shape in enumerate(((40, 60), (64, 48), (12, 90))):  # the last is too small for a crop
        cv2.imwrite(str(folder / f"{number}.png"), picture(number, *shape))
    return folder


def test_the_raw_of_a_photograph_is_its_camera_undone(photos):
    found = raw_pairs.photographs([photos], 16, 1)
    assert [photo.name for photo in found] == ["0.png", "1.png"]
    made = raw_pairs.batch(found, seed=0, step=0, count=6, size=16)
    assert made.display.shape == (6, 3, 16, 16) and made.raw.shape == (6, 4, 8, 8)
    assert made.noisy.shape == (2, 3, 16, 16) and made.noise.shape == (2, 4, 8, 8)  # one in four has noise, or begun
    expected = mosaic.mosaic(fr.srgb_to_light(made.display), COLOURS, (1.0, 1.0, 1.0)).clamp(0, 1)
    torch.testing.assert_close(made.raw, expected, atol=1e-5, rtol=0)
    means = raw_pairs.batch(found, 0, 1, 64, 16).display.mean((1, 2, 3))
    assert means.min() < 0.15 and means.max() > 0.4  # as night frames are, and as photographs are
    assert means[:16].mean() < 0.6 * means[16:].mean()  # those with noise are as the stage gets them


def test_noise_is_developed_as_raw_pg_does_but_along_edges():
    """Flat on the left: Malvar's filters, in light. A step on the right: what demosaic.develop makes of it."""
    display = torch.full((1, 3, 48, 64), 0.3)
    display[..., 40:] = 0.9
    raw = mosaic.mosaic(fr.srgb_to_light(display), COLOURS, cycleisp.WHITE)
    noise_of_raw = 1e-3 * torch.randn(raw.shape, generator=torch.Generator().manual_seed(0))
    noisy = raw_pairs.with_noise(display, raw, noise_of_raw, COLOURS)
    light = fr.srgb_to_light(display) + mosaic.develop(noise_of_raw, COLOURS, cycleisp.WHITE)
    torch.testing.assert_close(noisy[..., :32], fr.light_to_srgb(light)[..., :32], atol=1e-6, rtol=0)
    along = display + demosaic.develop(raw + noise_of_raw, COLOURS) - demosaic.develop(raw, COLOURS)
    torch.testing.assert_close(noisy[..., 39:41], along[..., 39:41], atol=1e-3, rtol=0)
    assert not torch.allclose(noisy[..., 39:41], fr.light_to_srgb(light)[..., 39:41], atol=2e-3)


def test_every_file_has_an_equal_part_and_detail_a_larger_one(photos):
    found = raw_pairs.photographs([photos], 16, 1)
    video = [raw_pairs.Photo(f"clip frame {n}", "of the clip", found[0].display) for n in range(30)]
    assert [len(group) for group in raw_pairs.by_file(video + found)] == [30, 1, 1]
    half = raw_pairs.Photo("half", "half", np.zeros((64, 64, 3), np.uint16))  # flat on the left, checks on the right
    half.display[:, 32:][(np.indices((64, 32)).sum(0) % 2) > 0] = 65535
    crops = raw_pairs.batch([half], 0, 0, 40, 16).display
    assert ((crops - crops.mean((2, 3), keepdim=True)).abs().amax((1, 2, 3)) > 0.01).float().mean() > 0.75


def test_batches_depend_on_seed_and_step_only(photos):
    found = raw_pairs.photographs([photos], 16, 1)
    first, again, other = (raw_pairs.batch(found, 1, step, 2, 16) for step in (7, 7, 8))
    assert first.noisy.equal(again.noisy) and first.raw.equal(again.raw) and not first.raw.equal(other.raw)


@pytest.fixture
def paired(tmp_path):
    """A picture with a raw of code values as DNG, and one with planes."""
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name in "ab":
        cv2.imwrite(str(folder / f"{name}.png"), picture(3, 32, 48))
    light = fr.srgb_to_light(fr.from_uint8(picture(3, 32, 48)[..., ::-1]))
    planes = mosaic.mosaic(light, COLOURS, (2.0, 1.0, 1.5))
    camera = tables.load(tables.PAPER_CAMERA)
    dng.write_dng(folder / "a.dng", torch.pixel_shuffle(planes, 2)[0, 0].numpy(), camera, (2.0, 1.0, 1.5))
    np.save(folder / "b.npy", (planes * mosaic.balance((2.0, 1.0, 1.5), planes))[0].numpy())
    return folder


def test_pairs_are_cropped_alike_and_balanced(paired):
    found = raw_pairs.pairs(paired, 16)
    assert [photo.name for photo in found] == ["a.png", "b.png"]
    np.testing.assert_allclose(found[0].raw, found[1].raw, atol=2e-4)
    made = raw_pairs.batch(found, 0, 0, 6, 16)
    undone = mosaic.mosaic(fr.srgb_to_light(made.display), COLOURS, (1.0, 1.0, 1.0)).clamp(0, 1)
    torch.testing.assert_close(made.raw, undone, atol=1e-3, rtol=0)


def test_system_files_are_no_pairs_and_no_foreign_output(paired, tmp_path):
    (paired / "._a.png").write_bytes(b"\0\5\26\7")
    (paired / "._a.npy").write_bytes(b"\0\5\26\7")
    (paired / "c.png").mkdir()
    assert [photo.name for photo in raw_pairs.pairs(paired, 16)] == ["a.png", "b.png"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out/Thumbs.db").touch()
    noise.claim(tmp_path / "out")


def test_a_training_does_not_go_on_with_another_raw_of_the_same_pictures(paired, tmp_path):
    interrupted([], tmp_path / "out", 3, pairs=[paired], steps=5, **SMALL)
    planes = np.load(paired / "b.npy")
    np.save(paired / "b.npy", planes * np.float32(0.5))
    with pytest.raises(UsageError, match="other options or inputs"):
        noise.train_noise([], tmp_path / "out", pairs=[paired], steps=5, **SMALL)


def test_pairs_that_do_not_fit_are_one_clear_line(paired, tmp_path):
    np.save(paired / "b.npy", np.zeros((4, 5, 5), np.float32))
    with pytest.raises(InputError, match="b.png"):
        raw_pairs.pairs(paired, 16)
    np.save(paired / "b.npy", np.zeros((4, 16, 24)))
    with pytest.raises(InputError, match="float64"):
        raw_pairs.pairs(paired, 16)
    (paired / "b.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match="not a readable array"):
        raw_pairs.pairs(paired, 16)
    with pytest.raises(InputError, match="no picture with its raw"):
        raw_pairs.pairs(tmp_path, 16)


def test_losses_are_zero_for_the_truth_and_weigh_shadows_like_lights():
    raw = torch.rand(1, 4, 8, 8)
    assert noise.raw_loss(fr.light_to_srgb(raw), raw).item() == pytest.approx(0, abs=1e-4)
    dark, bright = (torch.full((1, 4, 2, 2), value) for value in (0.02, 0.5))
    off = [noise.raw_loss(fr.light_to_srgb(1.1 * part), part).item() for part in (dark, bright)]
    assert off[0] == pytest.approx(off[1], rel=0.4)


def test_photographs_that_come_back_equally_well_count_alike():
    display = torch.rand(2, 3, 8, 8)
    error = torch.randn(2, 3, 8, 8) * torch.tensor([0.1, 0.03]).view(2, 1, 1, 1)
    losses = [noise.display_loss(display + error * torch.tensor(better).view(2, 1, 1, 1), display).item()
              for better in ((1.0, 1.0), (0.5, 1.0), (1.0, 0.5))]  # fmt: skip
    assert losses[0] - losses[1] == pytest.approx(np.log(4) / 2, rel=0.05)
    assert losses[0] - losses[2] == pytest.approx(np.log(4) / 2, rel=0.05)
    assert np.isfinite(noise.display_loss(display, display).item())


def test_noise_is_to_have_the_strength_and_the_correlations_wanted(monkeypatch):
    grain = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    grain = grain * torch.tensor([1.0, 0.01]).view(2, 1, 1, 1)
    assert noise.noise_loss(grain, grain).item() == 0
    strong, weak = (noise.noise_loss(1.2 * part, part).item() for part in grain.split(1))
    assert strong == pytest.approx(weak, rel=0.1) and strong > noise.VALUES_WEIGHT * 0.2
    soft = (grain + grain.roll(1, 3)) / 2**0.5  # as strong, but each value like its neighbour
    other = grain.roll(5, 3)  # the same noise elsewhere: other values, the same kind
    assert noise.noise_loss(other, grain) > noise.VALUES_WEIGHT
    monkeypatch.setattr(noise, "VALUES_WEIGHT", 0.0)
    assert noise.noise_loss(soft, grain) > 10 * noise.noise_loss(other, grain)
    found = noise.covariances(soft[:1])
    assert found.shape == (1, 3, 3, 3)
    assert found[0, :, 0, 0].tolist() == pytest.approx([1, 0.5, 0], abs=0.06)


def test_phases_follow_each_other():
    seen = [noise.phase_of(step, 50) for step in range(50)]
    assert [phase for phase, _, _ in seen] == ["raw"] + ["display"] * 2 + ["joint"] * 47
    assert [first for _, _, first in seen] == [0] + [1] * 2 + [3] * 47
    assert all(0 <= done < 1 for _, done, _ in seen)


def test_each_phase_learns(tmp_path, monkeypatch):
    """The camera of a user's pairs, whose colours are those of sRGB: not what the networks begin with."""
    (tmp_path / "pairs").mkdir()
    for name, seed in (("a", 3), ("b", 4)):
        cv2.imwrite(str(tmp_path / "pairs" / f"{name}.png"), picture(seed, 64, 64))
        light = fr.srgb_to_light(fr.from_uint8(picture(seed, 64, 64)[..., ::-1]))
        np.save(tmp_path / "pairs" / f"{name}.npy", mosaic.mosaic(light, np.eye(3), cycleisp.WHITE)[0].numpy())
    terms = []
    monkeypatch.setattr(noise, "PHASES", (("raw", 0.5), ("display", 0.4), ("joint", 0.1)))
    noise.train_noise([], tmp_path / "out", pairs=[tmp_path / "pairs"], steps=120, size=16, batch_size=4,
                      report=lambda step, t: terms.append(t))  # fmt: skip
    assert [sorted(terms[n]) for n in (0, 60, 108)] == [["raw"], ["display", "noise"], ["display", "noise", "raw"]]
    for name, start, end in (("raw", 0, 60), ("display", 60, 108)):
        values = [t[name] for t in terms[start:end]]
        assert np.mean(values[-6:]) < 0.8 * np.mean(values[:6])


def test_a_run_leaves_networks_that_the_stage_takes_and_a_card(photos, paired, tmp_path):
    out = tmp_path / "mine"
    done = noise.train_noise([photos], out, pairs=[paired], steps=10, seed=4, note="For a test.", **SMALL)
    assert {file.name for file in out.iterdir()} == {"card.md", *(f"{name}.safetensors" for name in cycleisp.FILES)}
    card = (out / "card.md").read_text()
    assert "For a test." in card and "seed=4" in card and "a.png" in card and done["sha256"]["ccm_joint"] in card
    assert f"lolblur-synth train-noise {photos} --pairs {paired} -o {out} --size lite --steps 10 --seed 4" in card
    assert weights.about(out / "raw2rgb_joint.safetensors")["size"] == cycleisp.LITE[2]
    config = NoiseConfig(model="cycleisp", probability=1.0, weights=str(out))
    frames = torch.rand(1, 3, 33, 40) * 0.2
    noisy = stage.apply(frames, config, stage.draw(config, dr.rng(0, "video", "segment-0", "noise")))
    assert noisy.shape == frames.shape and not noisy.equal(frames)
    networks = cycleisp.load(str(out))
    assert networks.ours and networks.colours is None  # of pairs, whose camera is not known


def interrupted(inputs, out, at, **options):
    def report(step, losses):
        if step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        noise.train_noise(inputs, out, report=report, **options)


def test_interrupted_runs_end_like_uninterrupted_ones_and_seeds_differ(photos, tmp_path):
    options = {"steps": 9, "seed": 1, **SMALL}
    whole = noise.train_noise([photos], tmp_path / "whole", **options)
    interrupted([photos], tmp_path / "parts", 3, **options)
    interrupted([photos], tmp_path / "parts", 8, **options)
    parts = noise.train_noise([photos], tmp_path / "parts", **options)
    assert np.array_equal(cycleisp.load(str(tmp_path / "whole")).colours, COLOURS)
    assert parts["sha256"] == whole["sha256"] and parts["losses"] == whole["losses"]
    other = noise.train_noise([photos], tmp_path / "other", **{**options, "seed": 2})
    assert other["sha256"] != whole["sha256"]


def test_what_cannot_be_trained_is_refused(photos, tmp_path):
    interrupted([photos], tmp_path / "a", 3, steps=5, **SMALL)
    with pytest.raises(UsageError, match="other options"):
        noise.train_noise([photos], tmp_path / "a", steps=6, **SMALL)
    (tmp_path / "a" / "training.checkpoint").write_bytes(b"torn")
    with pytest.raises(UsageError, match="not a readable checkpoint"):
        noise.train_noise([photos], tmp_path / "a", steps=5, **SMALL)
    with pytest.raises(ForeignOutput):
        noise.train_noise([photos], photos, steps=5, **SMALL)
    with pytest.raises(InputError, match="no picture has"):
        noise.train_noise([photos], tmp_path / "b", steps=5, size=200)
    with pytest.raises(InputError, match="no such file"):
        noise.train_noise([photos, tmp_path / "gone"], tmp_path / "b", steps=5, **SMALL)
    said = CliRunner().invoke(main, ["train-noise"])
    assert said.exit_code == 2 and "nothing to train on" in said.output


def test_training_begins_at_the_analytic_camera(photos):
    """Networks that have learnt nothing give the raw exactly, and develop it along edges."""
    recipe = {"network": "lite", "steps": 9, "seed": 0, "rate": 1e-3}
    state = noise.NoiseRun(recipe, "cpu")
    networks = cycleisp.Networks(*state.net, colours=state.colours)
    made = raw_pairs.batch(raw_pairs.photographs([photos], 32, 1), 0, 0, 2, 32)
    with torch.inference_mode():
        torch.testing.assert_close(networks.raw(made.display), made.raw, atol=1e-5, rtol=0)
        back = networks.develop(made.raw + made.noise, networks.colour(made.display))
    expected = demosaic.develop(made.raw + made.noise, COLOURS)
    torch.testing.assert_close(back, expected, atol=1e-5, rtol=0)


def test_the_published_sizes_have_the_published_numbers_of_parameters():
    kinds = (cycleisp.Rgb2Raw, cycleisp.ColorBranch, cycleisp.Raw2Rgb)
    with torch.device("meta"):
        nets = [kind(**size) for kind, size in zip(kinds, noise.sizes("published", True), strict=True)]
    assert [sum(p.numel() for p in net.parameters()) for net in nets] == [3_143_109, 1_084_419, 3_244_110]


def test_networks_that_correct_a_camera_have_its_pictures_as_inputs():
    assert [size["size"].get("inputs") for size in noise.sizes("lite", False)] == [None, None, None]
    assert [size["size"].get("inputs") for size in noise.sizes("lite", True)] == [6, None, 16]
    with pytest.raises(UsageError, match="no such size"):
        noise.sizes("huge", True)


def test_the_published_size_corrects_the_camera_with_its_own_inputs():
    """Its layout has no room for what `lite` sees beside them; the camera it corrects is the same."""
    torch.manual_seed(0)
    small = {"features": 8, "groups": 1, "blocks": 1}  # in its place: three inputs and four, as the published one
    nets = [kind(**small).eval() for kind in (cycleisp.Rgb2Raw, cycleisp.ColorBranch, cycleisp.Raw2Rgb)]
    networks, frames = cycleisp.Networks(*nets, colours=COLOURS), torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        analytic = mosaic.mosaic(fr.srgb_to_light(frames), COLOURS, cycleisp.WHITE)
        given = networks.planes(frames) - fr.light_to_srgb(analytic)
        torch.testing.assert_close(given, cycleisp.without_local_mean(nets[0](frames), 8), atol=1e-6, rtol=0)
        back = networks.develop(analytic, networks.colour(frames)) - demosaic.develop(analytic, COLOURS)
        own = nets[2](fr.light_to_srgb(analytic), networks.colour(frames))
        torch.testing.assert_close(back, cycleisp.without_local_mean(own, 16), atol=1e-5, rtol=0)


def test_darkened_pictures_have_the_published_level():
    frame = fr.from_uint8(picture(5, 64, 64))
    assert noise_figures.darkened(frame).mean().item() * 255 == pytest.approx(noise_figures.LEVEL, abs=0.1)


def test_round_trips_are_those_of_whole_pictures_and_of_their_half():
    """Of the analytic camera: a flat picture comes back, a checkerboard of single pixels does not."""
    zero = cycleisp.Networks(*noise.NoiseRun({"network": "lite", "seed": 0, "rate": 1e-3}, "cpu").net, colours=COLOURS)
    checks = np.kron(np.indices((60, 80)).sum(0) % 2, np.ones((2, 2)))[..., None] * np.array([40000, 20000, 9000])
    photo = raw_pairs.Photo("checks.png", "checks", checks.astype(np.uint16))
    assert noise_figures.view(photo).shape == (1, 3, 120, 160) and noise_figures.view(photo, 2).shape == (1, 3, 60, 80)
    large = raw_pairs.Photo("large.png", "large", np.zeros((1500, 3000, 3), np.uint16))
    assert noise_figures.view(large).shape == (1, 3, 560, 1120)
    whole, half = (noise_figures.round_trip("", noise_figures.view(photo, by), zero) for by in (1, 2))
    assert whole.size == (160, 120) and whole.raw > 90 and whole.back == pytest.approx(whole.analytic, abs=1e-3)
    assert half.back < whole.back - 1 and whole.dark > whole.back
    flat = noise_figures.round_trip("", torch.full((1, 3, 32, 32), 0.4), zero)
    assert flat.back > 90


def test_deviations_are_those_of_the_noise(monkeypatch):
    """An imitation whose noise is half as strong is 50 % off, and its correlations are not."""
    analytic = stage.apply

    def imitation(frames, config, drawn):
        out = analytic(frames, NoiseConfig(model="raw-pg", probability=1.0), drawn)
        return frames + (out - frames) / 2 if config.model == "cycleisp" else out

    monkeypatch.setattr(noise_figures.noise, "apply", imitation)
    found = noise_figures.noise_deviation([torch.full((1, 3, 64, 64), 0.12)], None, 400.0)
    assert found["sigma_blue"] == pytest.approx(-0.5, abs=1e-3) and found["luma_lag1"] == pytest.approx(0, abs=1e-2)
    assert found["shift"] < 0.1 and set(fingerprint.BANDS) & set(found)
