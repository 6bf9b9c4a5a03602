"""Chapter 5: points of three GANs on eight narrow Gaussians, and the number of modes that each covers."""

from chart import COLOURS, dots, panels
from measures import data
from trained import trained

SETTINGS = {
    "GAN, beta1 0.9, no penalty": ("gan", {"recipe": "recipes/gan-ring.toml", "beta1": 0.9, "r1": 0.0, "duration": "1500"}),
    "GAN, beta1 0.5, R1 penalty": ("gan", {"recipe": "recipes/gan-ring.toml"}),
    "WGAN-GP": ("wgan_gp", {"recipe": "recipes/wgan-gp-ring.toml"}),
}

real = data("ring").test.head(1000).images.reshape(-1, 2).tolist()
drawn = {"real points": dots(real, COLOURS[4])}
for number, (name, (family, settings)) in enumerate(SETTINGS.items()):
    model = trained(f"ring-{number}", family, **settings)
    found = model.evaluate(samples=10_000)["metrics"]
    modes, near = found["modes_covered"]["value"], found["high_quality_share"]["value"]
    print(f"{name}: {modes} of 8 modes, {100 * near:.1f} % of 10,000 points within three standard deviations of a mode")
    points = model.sample(1000).reshape(-1, 2).tolist()
    drawn[f"{name}\n{modes} of 8 modes, {100 * near:.0f} % near"] = dots(points, COLOURS[number])
panels("course-ring", "1,000 points of each model", drawn)
