"""Plausible mistakes in problem set 2, and the test cells that each must fail."""

from problem_sets import Wrong


def made(cell: str, loses: str, *mistakes: tuple[str, str, str]) -> list[Wrong]:
    """Mistakes (what, right, wrong) in one answer that fail the same tests, named in ``loses``."""
    tests = set(loses.split())
    return [Wrong(what, cell, right, wrong, tests) for what, right, wrong in mistakes]


WRONG = [
    *made(
        "concat",
        "test-concat-encode",
        (
            "features and rows are joined along the batch",
            "h = torch.cat([h, *u], dim=1)",
            "h = torch.cat([h, *u], dim=0)",
        ),
        (
            "the encoder reads the first part twice",
            "torch.cat([h, *u], dim=1)",
            "torch.cat([h, *(u[0] for _ in u)], dim=1)",
        ),
        (
            "the encoder gets the rows' mean over the batch",
            "torch.cat([h, *u], dim=1)",
            "torch.cat([h, *(row.mean(0).expand_as(row) for row in u)], dim=1)",
        ),
        (
            "one head for both μ and log σ²",
            "return self.mu_head(h), self.logvar_head(h)",
            "return self.mu_head(h), self.mu_head(h)",
        ),
        (
            "a ReLU between the joining and the heads",
            "torch.cat([h, *u], dim=1)",
            "torch.cat([h, *u], dim=1).relu()",
        ),
        (
            "a further step between the features and the joining",
            "h = self.encoder(x)  #",
            "h = 2 * self.encoder(x)  #",
        ),
        (
            "rows come before the features",
            "torch.cat([h, *u], dim=1)",
            "torch.cat([*u, h], dim=1)",
        ),
    ),
    *made(
        "concat",
        "test-concat-decode",
        (
            "the decoder ignores the label",
            "torch.cat([z, *v], dim=1)",
            "torch.cat([z, *(0 * row for row in v)], dim=1)",
        ),
        (
            "the decoder returns probabilities, which the loss squashes again",
            "return self.decoder(self.decoder_input(z))",
            "return torch.sigmoid(self.decoder(self.decoder_input(z)))",
        ),
        (
            "the decoder reads the last part twice",
            "torch.cat([z, *v], dim=1)",
            "torch.cat([z, *(v[-1] for _ in v)], dim=1)",
        ),
        (
            "the decoder's rows cannot learn",
            "v = [table(labels[:, k]) for",
            "v = [table(labels[:, k]).detach() for",
        ),
        (
            "a further layer behind decoder_input",
            "return self.decoder(self.decoder_input(z))",
            'if not hasattr(self, "extra"):\n'
            "            self.extra = nn.Linear(FEATURES, FEATURES)\n"
            "        return self.decoder(self.extra(self.decoder_input(z)))",
        ),
        (
            "a nonlinearity behind decoder_input",
            "return self.decoder(self.decoder_input(z))",
            "return self.decoder(self.decoder_input(z).abs())",
        ),
        (
            "a ReLU on the code",
            "torch.cat([z, *v], dim=1)",
            "torch.cat([z.relu(), *v], dim=1)",
        ),
        (
            "rows come before the code",
            "torch.cat([z, *v], dim=1)",
            "torch.cat([*v, z], dim=1)",
        ),
    ),
    *made(
        "concat",
        "",
        (
            "right: rows of the decoder by one-hot vectors",
            "v = [table(labels[:, k]) for",
            "v = [F.one_hot(labels[:, k], len(table.weight)).float() @ table.weight for",
        ),
        (
            "right: joined column by column",
            "z = torch.cat([z, *v], dim=1)  #",
            "z = torch.stack([*z.T, *torch.cat(v, dim=1).T], dim=1)  #",
        ),
    ),
    *made(
        "additive",
        "test-additive-encode",
        (
            "the tables of the features start at nn.Embedding's 1",
            "nn.init.normal_(table.weight, std=encoder_std)",
            "nn.init.normal_(table.weight)",
        ),
        (
            "the last part's row alone is added to the features",
            "h = h + table(labels[:, k])",
            "h = self.encoder(x) + table(labels[:, k])",
        ),
        (
            "the mean of the rows over the batch is added to the features",
            "h = h + table(labels[:, k])",
            "h = h + table(labels[:, k]).mean(0)",
        ),
        (
            "a ReLU after adding, as after a layer",
            "h = h + table(labels[:, k])",
            "h = (h + table(labels[:, k])).relu()",
        ),
    ),
    *made(
        "additive",
        "test-additive-decode",
        (
            "the gain multiplies the label too",
            "z = z + table(labels[:, k])",
            "z = z + self.gain * table(labels[:, k])",
        ),
        ("the gain is forgotten", "z = self.gain * z  #", "z = 1.0 * z  #"),
        (
            "the notebook's gain, and not the model's own",
            "self.gain = gain",
            'self.gain = globals()["gain"]',
        ),
        (
            "a variance where a standard deviation is asked for",
            "nn.init.normal_(table.weight, std=decoder_std)",
            "nn.init.normal_(table.weight, std=decoder_std**2)",
        ),
        (
            "sigmoid twice",
            "return self.decoder(self.decoder_input(z))",
            "return torch.sigmoid(self.decoder(self.decoder_input(z)))",
        ),
    ),
    *made(
        "additive",
        "test-additive-decode test-additive-encode",
        (
            "the two standard deviations are exchanged",
            "self.gain = gain",
            "self.gain = gain\n        encoder_std, decoder_std = decoder_std, encoder_std",
        ),
    ),
    *made(
        "moved-prior",
        "test-moved-prior",
        ("the gain shrinks the shift as well", "return means, gain", "return gain * means, gain"),
        ("a variance is returned", "return means, gain", "return means, gain**2"),
        (
            "garments and ways are exchanged",
            "garment_rows[:, None] + way_rows[None, :]",
            "garment_rows[None, :] + way_rows[:, None]",
        ),
        (
            "the rows are averaged",
            "garment_rows[:, None] + way_rows[None, :]",
            "(garment_rows[:, None] + way_rows[None, :]) / 2",
        ),
    ),
    *made(
        "moved-posterior",
        "test-moved-posterior",
        ("σ for log σ²", "logvar + 2 * math.log(gain)", "logvar + math.log(gain)"),
        ("the log variance is multiplied", "logvar + 2 * math.log(gain)", "gain**2 * logvar"),
        ("the posterior stays where it was", "gain * mu + shift", "gain * mu"),
        ("the gain multiplies the shift", "gain * mu + shift", "gain * (mu + shift)"),
    ),
    *made(
        "apart",
        "test-apart",
        ("the distance in units of the variance", ".norm(dim=2) / std", ".norm(dim=2) / std**2"),
        (
            "the notebook's gain, to please the visible test",
            ".norm(dim=2) / std",
            ".norm(dim=2) / gain",
        ),
        ("a mean over the units for a sum", ".norm(dim=2) / std", ".square().mean(2).sqrt() / std"),
        ("distances added up unit by unit", ".norm(dim=2) / std", ".abs().sum(2) / std"),
    ),
    *made(
        "leak",
        "test-leak",
        ("a mean for the largest change", ".abs().max()", ".abs().mean()"),
        (
            "pixels that grow darker do not count",
            "(picture - pictures[i]).abs().max()",
            "(picture - pictures[i]).max()",
        ),
        (
            "the row alone: codes that mix are taken for labels",
            "decode(z, alike)[i]",
            "decode(z[i : i + 1], alike[i : i + 1])[0]",
        ),
        (
            "every row is labelled as the first",
            "labels[i].expand_as(labels)",
            "labels[0].expand_as(labels)",
        ),
        (
            "the first part alone is made alike",
            "labels[i].expand_as(labels)",
            "torch.cat([labels[i, :1].expand(len(labels), 1), labels[:, 1:]], 1)",
        ),
    ),
    *made(
        "mended",
        "test-mended-batch test-mended-labels",
        (
            "the suspect unmended, its view written as a reshape",
            "gamma, beta = rows.sum(dim=0).chunk(2, dim=1)",
            "rows = rows.reshape(len(labels), len(tables), -1)\n"
            "        gamma, beta = rows.sum(dim=1).chunk(2, dim=1)",
        ),
        (
            "each row hears the one before",
            "rows.sum(dim=0).chunk(2, dim=1)",
            "rows.sum(dim=0).roll(1, 0).chunk(2, dim=1)",
        ),
    ),
    *made(
        "mended",
        "test-mended-batch",
        (
            "the mean over the batch",
            "rows.sum(dim=0).chunk(2, dim=1)",
            "rows.sum(dim=0).mean(0, keepdim=True).chunk(2, dim=1)",
        ),
        (
            "the sum over the batch, whose axis was taken for that of the parts",
            "rows.sum(dim=0).chunk(2, dim=1)",
            "rows.sum(dim=(0, 1), keepdim=True)[0].chunk(2, dim=1)",
        ),
    ),
    *made(
        "mended",
        "test-mended-labels test-mended-same",
        ("the first part alone", "rows.sum(dim=0)", "rows[0]"),
        ("the label is left out", "return (1 + gamma) * h + beta", "return h"),
    ),
    *made(
        "mended",
        "test-mended-labels",
        ("the tables cannot learn", "table(labels[:, k]) for", "table(labels[:, k]).detach() for"),
    ),
    *made(
        "mended",
        "test-mended-same",
        ("the mean of the parts for their sum", "rows.sum(dim=0)", "rows.mean(dim=0)"),
        ("γ and β are exchanged", "gamma, beta = rows", "beta, gamma = rows"),
        ("the 1 before γ is forgotten", "(1 + gamma) * h + beta", "gamma * h + beta"),
    ),
    *made(
        "swapped",
        "test-swapped",
        ("the right value counts among the wrong ones", "range(1, values)", "range(values)"),
        ("the labels are changed in place", "wrong = labels.clone()", "wrong = labels"),
        (
            "sigmoid twice",
            "decode_logits(z, asked), x",
            "torch.sigmoid(decode_logits(z, asked)), x",
        ),
        ("a mean over the pixels", "nats.flatten(1).sum(1)", "nats.flatten(1).mean(1)"),
        (
            "a mean over the batch",
            "nats.flatten(1).sum(1)",
            "nats.flatten(1).sum(1).mean().expand(len(x))",
        ),
        ("the sign is flipped", "distortion(wrong) - right", "right - distortion(wrong)"),
    ),
    *made(
        "heard",
        "test-heard",
        ("pairs that never occur make NaN", "occurs = joint > 0", "occurs = joint > -1"),
        ("counts for shares", "counts / counts.sum()", "counts"),
        (
            "only what was seen rightly",
            "occurs = joint > 0",
            "occurs = (joint > 0) & torch.eye(values, dtype=torch.bool)",
        ),
        (
            "equal frequencies are taken for granted",
            "joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)",
            "torch.full_like(joint, values**-2)",
        ),
        ("decadic logarithms", "alone[occurs]).log()", "alone[occurs]).log10()"),
    ),
]
