"""How wide should the prior be that is fitted to the latents of fashion-concat-sigma?

    python benchmarks/prior_width.py

Draws 10,000 garments from the mixture of Gaussians per class that was fitted to the training set's
latents, at several widths, and compares them with the 5,000 validation images: how often the judge
sees the class asked for, and the Fréchet distance. The recipe takes the largest width at which
drawn garments are recognised at least as often as real ones. Writes the sweep to
cvae_lib/records/prior-width.
"""

from __future__ import annotations

import arms

from cvae_lib import metrics
from cvae_lib.data import fashion_mnist
from cvae_lib.evaluation import measure_garments
from cvae_lib.latent import fit_prior
from cvae_lib.pretrained import load_pretrained

MODEL = "fashion-concat-sigma"
WIDTHS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)

EXPERIMENTS = {
    "prior-width": arms.Experiment(
        "How wide to draw",
        "The fitted prior of `fashion-concat-sigma` with its standard deviations multiplied by a "
        "width: 10,000 drawn pictures against 5,000 validation pictures. Told in "
        "[Chapter 08](08_words_to_pictures.ipynb).",
        {"width": "width", "Fréchet": "frechet", "agreement": "class_agreement"},
        flags="",
    ),
}


def main() -> None:
    model, judge = load_pretrained(MODEL), load_pretrained("fashion-judge")
    train, valid = (fashion_mnist(split) for split in ("train", "valid"))
    target = metrics.class_agreement(judge, valid.pixels(), valid.labels)
    print(f"real validation images: agreement {target:.4f}")
    rows = []
    fit_prior(model, train)
    scale = model.prior.scale.clone()
    for width in WIDTHS:
        model.prior.scale.copy_(width * scale)
        rows.append({"width": width, **measure_garments(model, valid)["fitted_prior"]})
        print(rows[-1], flush=True)
    chosen = max(row["width"] for row in rows if row["class_agreement"] >= target)
    print(f"chosen width: {chosen}")
    result = {"model": MODEL, "real_agreement": target, "rows": rows, "chosen": chosen}
    arms.write_run("prior-width", MODEL, result | arms.origin())


if __name__ == "__main__":
    main()
