"""Mistakes in problem set 3: probes and measures."""

from problem_sets import Wrong

SPLIT, FIT, SKILL = {"test-split"}, {"test-fit"}, {"test-skill"}
MOMENTS, SSIM = {"test-moments"}, {"test-ssim"}
ROOT, BY_CLASS = {"test-root"}, {"test-class-frechet"}
LOOK, MEASURE = {"test-culprits-look"}, {"test-culprits-measure"}

HELD = "return torch.isin(garment, garments[order[:number]])"
GROUPS = "f, g = a[labels_a == c].double(), b[labels_b == c].double()"
EIGENVALUES = "values = torch.linalg.eigvals(product).real"
BY_SSIM = 'MEASURES["SSIM"](letter) < 0.75'
BY_FRECHET = 'MEASURES["Fréchet"](letter) > 3 * real["Fréchet"]'
BY_PROBE = 'MEASURES["probe"](letter) < 0.65 * real["probe"]'

WRONG = [
    Wrong(
        "rows are held out and not garments: leakage",
        "split",
        HELD,
        "return torch.rand(len(garment), generator=generator) < share",
        SPLIT,
    ),
    Wrong("the first garments are held out", "split", "[order[:number]]", "[:number]", SPLIT),
    Wrong(
        "the seed is fixed to please the visible test",
        "split",
        "generator=generator",
        "generator=torch.Generator().manual_seed(0)",
        SPLIT,
    ),
    Wrong(
        "garments are taken to be numbered 0, 1, 2 …",
        "split",
        "garments[order[:number]]",
        "order[:number]",
        SPLIT,
    ),
    Wrong("the share is kept and not held out", "split", "order[:number]", "order[number:]", SPLIT),
    Wrong("the weight is that of standardised codes", "fit", "/ len(z)) / std", "/ len(z))", FIT),
    Wrong(
        "the offset forgets the mean of the codes",
        "fit",
        "target.mean() - mean @ weight",
        "target.mean()",
        FIT,
    ),
    Wrong("sums where the formula has means", "fit", "z.T @ z / len(z)", "z.T @ z", FIT),
    Wrong("the penalty is left out", "fit", "penalty * torch", "0 * torch", FIT),
    Wrong("the sample's standard deviation", "fit", "correction=0", "correction=1", FIT),
    Wrong("division by a deviation of 0", "fit", ".clamp_min(1e-6)", "", FIT),
    Wrong(
        "the penalty on codes that are not standardised",
        "fit",
        "(codes - mean) / std",
        "codes - mean",
        FIT,
    ),
    Wrong(
        "the guess knows the held-out targets: leakage",
        "skill",
        "2, train_target.mean()",
        "2, target.mean()",
        SKILL,
    ),
    Wrong(
        "the quotient is upside down",
        "skill",
        "off.sum() / off_guess.sum()",
        "off_guess.sum() / off.sum()",
        SKILL,
    ),
    Wrong("the share of the error and not of the gain", "skill", "1 - (off", "(off", SKILL),
    Wrong("another power of the errors", "skill", "power, guess = 2,", "power, guess = 1,", SKILL),
    Wrong(
        "the picture is padded",
        "moments",
        "groups=channels",
        'groups=channels, padding="same"',
        MOMENTS,
    ),
    Wrong(
        "float32 loses the digits of a small variance",
        "moments",
        "x.double(), y.double(), window.double()",
        "x.float(), y.float(), window.float()",
        MOMENTS,
    ),
    Wrong(
        "float64 too late",
        "moments",
        "F.conv2d(images, kernel, groups=channels)",
        "F.conv2d(images.float(), kernel.float(), groups=channels).double()",
        MOMENTS,
    ),
    Wrong(
        "all pixels of a window count the same",
        "moments",
        "x.double(), y.double(), window.double()",
        "x.double(), y.double(), torch.full_like(window, 1 / window.numel()).double()",
        MOMENTS,
    ),
    Wrong("the covariance is not centred", "moments", " - m_x * m_y", "", MOMENTS),
    Wrong(
        "rounding leaves a variance below 0",
        "moments",
        "(local(x * x) - m_x**2).clamp_min(0)",
        "local(x * x) - m_x**2",
        MOMENTS,
    ),
    Wrong(
        "a standard deviation for a variance",
        "moments",
        "(local(y * y) - m_y**2).clamp_min(0)",
        "(local(y * y) - m_y**2).clamp_min(0).sqrt()",
        MOMENTS,
    ),
    Wrong(
        "the constants do not follow the range of the greys",
        "ssim",
        "(0.01 * data_range) ** 2, (0.03 * data_range) ** 2",
        "0.01**2, 0.03**2",
        SSIM,
    ),
    Wrong(
        "the range is not squared",
        "ssim",
        "(0.01 * data_range) ** 2, (0.03 * data_range) ** 2",
        "0.01**2 * data_range, 0.03**2 * data_range",
        SSIM,
    ),
    Wrong(
        "another factor is left out",
        "ssim",
        "del factors[left_out]",
        'del factors["contrast" if left_out == "brightness" else "brightness"]',
        SSIM,
    ),
    Wrong(
        "all three factors, as in the chapter",
        "ssim",
        "del factors[left_out]\n    one, other = factors.values()",
        "one, other = math.prod(factors.values()), 1",
        SSIM,
    ),
    Wrong(
        "the pattern's constant is not halved",
        "ssim",
        "(v_xy + C2 / 2) / (s_x * s_y + C2 / 2)",
        "(v_xy + C2) / (s_x * s_y + C2)",
        SSIM,
    ),
    Wrong("a mean over the batch", "ssim", ".mean(dim=(1, 2, 3))", ".mean()", SSIM),
    Wrong(
        "the product of the means for the mean of the products",
        "ssim",
        "(one * other).mean(dim=(1, 2, 3))",
        "one.mean(dim=(1, 2, 3)) * other.mean(dim=(1, 2, 3))",
        SSIM,
    ),
    Wrong(
        "the product is taken to be symmetric",
        "root",
        EIGENVALUES,
        "values = torch.linalg.eigvalsh(product)",
        ROOT,
    ),
    Wrong("the root of each entry", "root", EIGENVALUES, "values = product.diagonal()", ROOT),
    Wrong(
        "eigenvalues of each matrix by itself",
        "root",
        EIGENVALUES,
        "values = torch.linalg.eigvalsh(cov_a) * torch.linalg.eigvalsh(cov_b)",
        ROOT,
    ),
    Wrong("the root of the sum", "root", ".sqrt().sum()", ".sum().sqrt()", ROOT),
    Wrong("the root of a value below 0", "root", ".clamp_min(0)", "", ROOT),
    Wrong(
        "the classes are ignored",
        "class-frechet",
        GROUPS,
        "f, g = a.double(), b.double()",
        BY_CLASS,
    ),
    Wrong(
        "a class against all of the other set", "class-frechet", "b[labels_b == c]", "b", BY_CLASS
    ),
    Wrong(
        "the ridge on one side only",
        "class-frechet",
        "torch.cov(g.T) + more",
        "torch.cov(g.T)",
        BY_CLASS,
    ),
    Wrong("2 is missing", "class-frechet", "- 2 * root", "- root", BY_CLASS),
    Wrong(
        "the means are not squared", "class-frechet", ".square().sum()", ".abs().sum()", BY_CLASS
    ),
    Wrong(
        "classes count by their share, which another variant asks for",
        "class-frechet",
        "1 if count",
        "len(f) if count",
        BY_CLASS,
    ),
    Wrong("blur taken for noise", "culprits", '= "blurred"', '= "noisy"', LOOK),
    Wrong("a shift taken for a mirror", "culprits", '= "moved"', '= "mirrored"', LOOK),
    Wrong("fewer greys seen in the dark", "culprits", '= "darker"', '= "coarse"', LOOK),
    Wrong("noise taken for memory", "culprits", '= "noisy"', '= "memorised"', LOOK),
    Wrong("memory taken for a collapse", "culprits", '= "memorised"', '= "few"', MEASURE),
    Wrong("a collapse taken for memory", "culprits", '= "few"', '= "memorised"', MEASURE),
    Wrong("an exchange taken for memory", "culprits", '= "exchanged"', '= "memorised"', MEASURE),
    Wrong(
        "a high SSIM taken for damage",
        "seen",
        BY_SSIM,
        BY_SSIM.replace("<", ">"),
        {"test-seen-ssim"},
    ),
    Wrong("every damage must lower SSIM", "seen", BY_SSIM, "True", {"test-seen-ssim"}),
    Wrong("SSIM sees what Fréchet sees", "seen", BY_SSIM, BY_FRECHET, {"test-seen-ssim"}),
    Wrong(
        "a low distance taken for damage",
        "seen",
        BY_FRECHET,
        BY_FRECHET.replace(">", "<"),
        {"test-seen-frechet"},
    ),
    Wrong(
        "every rise is seen",
        "seen",
        BY_FRECHET,
        BY_FRECHET.replace("3 *", "1.001 *"),
        {"test-seen-frechet"},
    ),
    Wrong("Fréchet sees what SSIM sees", "seen", BY_FRECHET, BY_SSIM, {"test-seen-frechet"}),
    Wrong(
        "a high accuracy taken for damage",
        "seen",
        BY_PROBE,
        BY_PROBE.replace("<", ">"),
        {"test-seen-probe"},
    ),
    Wrong("the probe sees what Fréchet sees", "seen", BY_PROBE, BY_FRECHET, {"test-seen-probe"}),
    Wrong(
        "the probe sees the exchange only",
        "seen",
        BY_PROBE,
        BY_PROBE.replace("0.65", "0.1"),
        {"test-seen-probe"},
    ),
]
