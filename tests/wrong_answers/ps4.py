"""Mistakes in problem set 4: from a text to a picture."""

from problem_sets import Wrong

FIND, QUANTITY, ORDERS = {"test-find"}, {"test-quantity"}, {"test-orders"}
VECTORS, LOOK, ATTEND = {"test-text-vectors"}, {"test-look"}, {"test-attend"}
LEAST = {"test-least-error"}

WRONG = [
    # Task 1
    Wrong("short words first", "find", "key=len, reverse=True", "key=len", FIND),
    Wrong("parts of words are found", "find", r"(?![\w'-])", "", FIND),
    Wrong(
        "a hyphen bounds a word",
        "find",
        r"(?<![\w'-])({either})(?![\w'-])",
        r"\b({either})\b",
        FIND,
    ),
    Wrong("an apostrophe bounds a word", "find", r"(?![\w'-])", r"(?![\w-])", FIND),
    Wrong("an apostrophe in front bounds a word", "find", r"(?<![\w'-])", r"(?<![\w-])", FIND),
    Wrong(
        "any white space within a phrase",
        "find",
        r"""    either = "|".join(re.escape(form) for form in longest_first)
    pattern = rf"(?<![\w'-])({either})(?![\w'-])"
    return [
        (*forms[match[1].lower()], match""",
        r"""    either = "|".join(r"\s+".join(form.split()) for form in longest_first)
    pattern = rf"(?<![\w'-])({either})(?![\w'-])"
    return [
        (*forms[" ".join(match[1].lower().split())], match""",
        FIND,
    ),
    Wrong("capital letters are strange", "find", ", re.IGNORECASE", "", FIND),
    Wrong("daisys", "find", 'word[:-1] + "ies"', 'word + "s"', FIND),
    Wrong("every y becomes ies", "find", "[^aeiou]y$", "y$", FIND),
    Wrong(
        "a plural may be left out of a phrase",
        "find",
        "many: (name, True)",
        "many: (name, False)",
        FIND,
    ),
    Wrong(
        "in the order of the table",
        "find",
        "re.finditer(pattern, text, re.IGNORECASE)",
        "sorted(\n"
        "            re.finditer(pattern, text, re.IGNORECASE),\n"
        "            key=lambda m: list(forms).index(m[1].lower()),\n"
        "        )",
        FIND,
    ),
    # Task 2
    Wrong(
        "no stars are one",
        "quantity",
        "return count, colour",
        "return count or 1, colour",
        QUANTITY,
    ),
    Wrong("numbers have one digit", "quantity", r"\d+|", r"\d|", QUANTITY),
    Wrong("read from anywhere in front", "quantity", r"\s+)?$", r"\b.*)?$", QUANTITY),
    Wrong(
        "a colour in a word",
        "quantity",
        r"(?:(?<![\w'-])({'|'.join(COLOURS)})",
        r"(?:({'|'.join(COLOURS)})",
        QUANTITY,
    ),
    Wrong("a number in a word", "quantity", r"(?:(?<![\w'-])(\d+", r"(?:(\d+", QUANTITY),
    Wrong(
        "a plural without a number is one",
        "quantity",
        "bare_plural if is_plural else 1",
        "1",
        QUANTITY,
    ),
    Wrong("capital letters are strange there", "quantity", "before.lower()", "before", QUANTITY),
    Wrong(
        "one space between words",
        "quantity",
        r"{'|'.join(counts)})\s+)?",
        r"{'|'.join(counts)}) )?",
        QUANTITY,
    ),
    Wrong(
        "words from split",
        "quantity",
        "    number, colour = match.groups()\n",
        "    told = before.lower().split()\n"
        "    colour = told.pop() if told and told[-1] in COLOURS else None\n"
        "    number = told[-1] if told and (told[-1] in counts or told[-1].isdigit()) else None\n",
        QUANTITY,
    ),
    # Task 3
    Wrong("colours are mixed up", "orders", "key = colour, name", "key = None, name", ORDERS),
    Wrong(
        "sorted by name",
        "orders",
        "in found.items()]",
        "in sorted(found.items(), key=str)]",
        ORDERS,
    ),
    Wrong("a 0 is listed", "orders", "if count > 0:", "if count >= 0:", ORDERS),
    Wrong(
        "what is ordered again moves to the end",
        "orders",
        "found[key] = count + earlier",
        "found.pop(key, 0)\n            found[key] = count + earlier",
        ORDERS,
    ),
    Wrong(
        "a 0 is about one colour only", "orders", "colour in (None, k[0])", "colour == k[0]", ORDERS
    ),
    Wrong(
        "a 0 is about every colour",
        "orders",
        "k[1] == name and colour in (None, k[0])",
        "k[1] == name",
        ORDERS,
    ),
    # Task 4
    Wrong(
        "NaN times 0 is NaN",
        "text-vectors",
        "torch.where(there[:, :, None], vectors, 0.0)",
        "vectors * there[:, :, None]",
        VECTORS,
    ),
    Wrong(
        "NaN is made 0 in place",
        "text-vectors",
        "    there = counts > 0",
        "    vectors.nan_to_num_(0.0)\n    there = counts > 0",
        VECTORS,
    ),
    Wrong("all sentences weigh the same", "text-vectors", " ** power", " ** 0", VECTORS),
    Wrong("sentences weigh by their number of words", "text-vectors", " ** power", "", VECTORS),
    Wrong(
        "padding has a weight",
        "text-vectors",
        "torch.where(there, counts.clamp(min=1).float() ** power, 0.0)",
        "counts.clamp(min=1).float() ** power",
        VECTORS,
    ),
    Wrong(
        "an empty text is 0 / 0",
        "text-vectors",
        "torch.where(total > 0, total, 1.0)",
        "total",
        VECTORS,
    ),
    Wrong(
        "the batch is one text",
        "text-vectors",
        "weights.sum(1, keepdim=True)\n    share",
        "weights.sum(1, keepdim=True)\n    clean = clean.mean(0, keepdim=True)\n    share",
        VECTORS,
    ),
    Wrong(
        "sentences are brought to length 1 first",
        "text-vectors",
        "    total = weights",
        "    clean = F.normalize(clean, dim=2)\n    total = weights",
        VECTORS,
    ),
    Wrong("no gradient", "text-vectors", "vectors, 0.0)", "vectors.detach(), 0.0)", VECTORS),
    # Task 5
    Wrong("no scale", "look", " / queries.shape[-1] ** scale_power", "", LOOK),
    Wrong(
        "scaled by the number of words", "look", "queries.shape[-1] **", "keys.shape[-2] **", LOOK
    ),
    Wrong("m as in the visible test", "look", "queries.shape[-1] **", "16 **", LOOK),
    Wrong("softmax over the cells", "look", "both.softmax(dim=-1)", "both.softmax(dim=-2)", LOOK),
    Wrong(
        "nothing is left out",
        "look",
        "both.softmax(dim=-1)[..., :-1]",
        "scores.softmax(dim=-1)",
        LOOK,
    ),
    Wrong(
        "nothing has the score 0",
        "look",
        "scores[..., :1], nothing)",
        "scores[..., :1], 0.0)",
        LOOK,
    ),
    Wrong("nothing has a share, not a score", "look", "nothing)", "math.log(abs(nothing)))", LOOK),
    Wrong("the mask is turned around", "look", "~is_word", "is_word", LOOK),
    Wrong("no mask", "look", 'scores.masked_fill(hidden, float("-inf"))', "scores", LOOK),
    Wrong("padding has the score 0", "look", 'float("-inf")', "0.0", LOOK),
    Wrong(
        "masked after the softmax",
        "look",
        'scores = scores.masked_fill(hidden, float("-inf"))\n'
        "    empty = torch.full_like(scores[..., :1], nothing)\n"
        "    both = torch.cat([scores, empty], dim=-1)\n"
        "    return both.softmax(dim=-1)[..., :-1]",
        "empty = torch.full_like(scores[..., :1], nothing)\n"
        "    both = torch.cat([scores, empty], dim=-1)\n"
        "    return both.softmax(dim=-1)[..., :-1] * ~hidden",
        LOOK,
    ),
    Wrong(
        "a quotient of exp",
        "look",
        "both.softmax(dim=-1)[..., :-1]",
        "(both.exp() / both.exp().sum(-1, keepdim=True))[..., :-1]",
        LOOK,
    ),
    # Task 6
    Wrong(
        "heads take every n-th channel",
        "attend",
        "x.unflatten(2, (heads, -1)).movedim(2, 1)",
        "x.unflatten(2, (-1, heads)).movedim(3, 1)",
        ATTEND,
    ),
    Wrong(
        "heads are reshaped, not moved",
        "attend",
        "x.unflatten(2, (heads, -1)).movedim(2, 1)",
        "x.reshape(len(x), heads, x.shape[1], -1)",
        ATTEND,
    ),
    Wrong(
        "heads are not moved back",
        "attend",
        "(weights @ v).movedim(1, 2).flatten(2)",
        "(weights @ v).reshape(queries.shape)",
        ATTEND,
    ),
    Wrong("one head only", "attend", "(heads, -1)", "(1, -1)", ATTEND),
    Wrong(
        "the mask of another text",
        "attend",
        "is_word[:, None]",
        "is_word.expand(heads, *is_word.shape).movedim(0, 1).flip(0)",
        ATTEND,
    ),
    Wrong("the mask without its axis", "attend", "is_word[:, None]", "is_word", ATTEND),
    Wrong(
        "heads are averaged",
        "attend",
        "(weights @ v).movedim",
        "(weights.mean(1, keepdim=True) @ v).movedim",
        ATTEND,
    ),
    # Task 7
    Wrong(
        "groups weigh the same",
        "least-error",
        "total += (same - answer).square().sum().item()",
        "total += (same - answer).square().mean().item() * pictures.numel() / len(set(told))",
        LEAST,
    ),
    Wrong(
        "the median answers",
        "least-error",
        "same.mean(0, keepdim=True)",
        "same.median(0, keepdim=True).values",
        LEAST,
    ),
    Wrong(
        "one number for the whole picture",
        "least-error",
        "same.mean(0, keepdim=True)",
        "same.mean()",
        LEAST,
    ),
    Wrong(
        "one answer for all",
        "least-error",
        "same.mean(0, keepdim=True)",
        "pictures.mean(0, keepdim=True)",
        LEAST,
    ),
    Wrong(
        "a sum over the pixels",
        "least-error",
        "total / pictures.numel()",
        "total / len(pictures)",
        LEAST,
    ),
    Wrong(
        "the variance of a sample",
        "least-error",
        "total += (same - answer).square().sum().item()",
        "total += len(group) * same.var(0).nan_to_num().sum().item()",
        LEAST,
    ),
    Wrong(
        "only neighbours are the same",
        "least-error",
        "groups.setdefault(value, [])",
        "groups.setdefault((value, value == told[index - 1]), [])",
        LEAST,
    ),
    Wrong(
        "the root of the error",
        "least-error",
        "return total / pictures.numel()",
        "return (total / pictures.numel()) ** 0.5",
        LEAST,
    ),
]
