#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes vocabulary.h, a small vocabulary; tokenizer.h, texts and the tokens that llama.cpp makes
of them with each pre-tokeniser; and chat.h, a conversation and its tokens, the template of SmolLM2
filled in. Needs pip install gguf; LLAMA_TOKENIZE is llama.cpp's llama-tokenize (commit 0c1e570).

    python3 tests/golden/tokenizer.py LLAMA_TOKENIZE

The merges are trained on the texts without any cutting into words, so that many of them cross the
places where a pre-tokeniser cuts: a cut at the wrong place changes the tokens.
"""
import ast
import os
import random
import subprocess
import sys
import tempfile

import gguf

PRES = ["gpt-2", "smollm", "qwen2", "llama-bpe"]
MERGES = 500
LONGEST = 12  # bytes of a token
NORMAL, UNKNOWN, CONTROL, ADDED, UNUSED = 1, 2, 3, 4, 5

TEXTS = [
    "The lamp went out at seven o'clock, and nobody in the house said a word about it.\n",
    "Don't say we'll go; they've gone, I'm sure he'd know it's over. IT'S OVER, WE'LL GO! 'Twas 'so.\n",
    "Das Mädchen läßt die Tür offen; où est l'été, señor? Žluťoučký kůň, İstanbul'da çay.\n",
    "Кот спит на окне, а дождь идёт уже 12 дней.\nΗ γάτα κοιμάται στο παράθυρο.\n",
    "החתול ישן על החלון. القطة تنام على النافذة منذ ٣ أيام. گربه روی پنجره خوابیده است.\n",
    "बिल्ली खिड़की पर सो रही है। বিড়াল জানালায় ঘুমায়। பூனை ஜன்னலில் தூங்குகிறது.\n",
    "แมวนอนอยู่ที่หน้าต่างมา ๑๒ วัน カワイイ猫が窓で寝ています。猫在窗上睡了十二天。고양이가 창가에서 잔다.\n",
    "კატა ფანჯარაზე სძინავს. Կատուն քնած է։ ድመቷ ተኝታለች። ཞི་མི་ཉལ།\n",
    "int main(void) {\n    for (size_t i = 0; i < 1000; i++) {\n\tputs(\"x\");\n    }\n    return 0x7f;\n}\n",
    "def f(x):\n    return x**2 + 3.14159  # pi\n\n\nclass A_b2C:\n\tpass\n\n   \n",
    "<a href=\"x\">1,234,567.89</a> \u00bd cup \u2167 ch. \u2460\u2461 10\u00b2 \u0663\u0664\u0665\u0666 7th 2nd\n",
    "\U0001f600\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f ok\U0001f44d\U0001f3fd. \U0001f1e9\U0001f1ea\n",
    "e\u0301 a\u0308\u0304 n\u0303o \u0301\u0301\u0301 x\u20dd Z\u0351\u036b\u0343\n",
    "one\r\ntwo\r\n\r\nthree\rfour\n\r\n  five  \r\n\t\tsix \n seven\u00a0eight\u3000nine\u2028ten\u0085eleven\x0b\x0c.\n",
    "trailing spaces   ",
    "  leading, 'and 1  2   3 x  'll 's   's\n'  '\n's",
    "'Tis 'REal 'Mad 'Sit we'Lla 'tis 'real 'mad " * 12,  # often enough for merges over the cuts
    "new letters \U0002ebf0\U0002ee5d a\U0002ebf0b, unassigned \u0378\U000e0fff z, private \ue000 q\n",
    "hello hello-world Hello tool <tool> <tool_call>x</tool_call> abcdabcabcd [PAD7] \t \t\t  .\n",
    "".join("a" * n + " " for n in range(28, 40)) + "-" * 70 + "=" * 33 + " " * 50 + "\n" * 40 + "9" * 41,
    "".join(("ab" * n + "=" + " " * (n % 5) + "1" * n) for n in range(1, 24)),
]
CHAT = [("system", "You are a helpful assistant."), ("user", "Who let the cat in?\nSay why.")]


def mixed():
    """Characters of all classes in an order that meets every pair of them."""
    draw = random.Random(1)
    letters = " \n\r\t\u00a0'stTrEvlLmdD12\u0663\u00bda\u00e9\u4e2d.,-\u0301\U0001f600\u2003\u200b"
    return "".join(draw.choice(letters) for _ in range(700))


TEXTS.append(mixed())


def alphabet():
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in own]
    return {b: chr(b) for b in own} | {b: chr(256 + i) for i, b in enumerate(others)}


SPELL = alphabet()


def spell(data):
    return "".join(SPELL[b] for b in data)


def train(text, count):
    parts = [bytes([b]) for b in text]
    merges, known = [], {bytes([b]) for b in range(256)}
    while len(merges) < count:
        pairs = {}
        for pair in zip(parts, parts[1:]):
            pairs[pair] = pairs.get(pair, 0) + 1
        new = sorted(p for p in pairs if p[0] + p[1] not in known and len(p[0] + p[1]) <= LONGEST)
        pair = max(new, key=lambda p: pairs[p])
        merges.append(pair)
        known.add(pair[0] + pair[1])
        joined, i = [], 0
        while i < len(parts):
            if i + 1 < len(parts) and (parts[i], parts[i + 1]) == pair:
                joined.append(parts[i] + parts[i + 1])
                i += 2
            else:
                joined.append(parts[i])
                i += 1
        parts = joined
    return merges


def vocabulary():
    merges = train("".join(TEXTS).encode() + b"system\nuser\nassistant\n" * 9, MERGES)
    tokens = [("<unk>", UNKNOWN), ("<|endoftext|>", CONTROL)]
    tokens += [(spell(bytes([b])), NORMAL) for b in range(256)]
    tokens += [(spell(a + b), NORMAL) for a, b in merges]
    # Tokens without a merge, which only whole words reach, and an unused one.
    for orphan in [" hello", "Hello", " trailing", "seven", " 's"]:
        if spell(orphan.encode()) not in dict(tokens):
            tokens.append((spell(orphan.encode()), NORMAL))
    tokens.append(("[UNUSED0]", UNUSED))
    tokens += [(t, ADDED) for t in ["<tool", "<tool_call>", "abcd", "cab", "[PAD7]", "\t\t", " \t"]]
    tokens += [(t, CONTROL) for t in ["<|im_start|>", "<|im_end|>", "<|pad|>"]]
    return tokens, [spell(a) + " " + spell(b) for a, b in merges]


def write_gguf(path, pre, tokens, merges):
    w = gguf.GGUFWriter(path, "llama")
    w.add_context_length(512)
    w.add_embedding_length(64)
    w.add_feed_forward_length(128)
    w.add_head_count(4)
    w.add_block_count(1)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre(pre)
    w.add_token_list([t for t, _ in tokens])
    w.add_token_types([k for _, k in tokens])
    w.add_token_merges(merges)
    w.add_bos_token_id(1)
    w.add_eos_token_id(1)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def tokens_of(program, model, text, *options):
    with tempfile.NamedTemporaryFile() as f:
        f.write(text.encode())
        f.flush()
        done = subprocess.run(
            [program, "-m", model, "-f", f.name, "--ids", "--no-bos", "--no-escape", *options],
            capture_output=True, check=True, text=True)
    return ast.literal_eval(done.stdout.strip().splitlines()[-1])


def quoted(data):
    return '"' + "".join("\\%03o" % b if b < 32 or b > 126 or b in b'"\\?' else chr(b) for b in data) + '"'


def numbers(out, values):
    for i in range(0, len(values), 16):
        out.write("    " + ", ".join(map(str, values[i : i + 16])) + ",\n")


def header(name):
    out = open(os.path.join(os.path.dirname(__file__), name), "w")
    out.write("/* SPDX-License-Identifier: Apache-2.0\n *\n * Made by tokenizer.py.\n */\n")
    return out


def write_vocabulary(tokens, merges):
    with header("vocabulary.h") as out:
        out.write("static const struct {\n    const char *text;\n    int32_t type;\n")
        out.write("} golden_tokens[] = {\n")
        for text, kind in tokens:
            out.write("    {%s, %d},\n" % (quoted(text.encode()), kind))
        out.write("};\n\nstatic const char *const golden_merges[] = {\n")
        for merge in merges:
            out.write("    %s,\n" % quoted(merge.encode()))
        out.write("};\n")


def write_texts(program, models):
    with header("tokenizer.h") as out:
        out.write("static const struct {\n    const char *data;\n    size_t size;\n")
        out.write("} golden_texts[] = {\n")
        for text in TEXTS:
            out.write("    {%s, %d},\n" % (quoted(text.encode()), len(text.encode())))
        out.write("};\n\n/* For each text in turn: how many tokens, then these. */\n")
        for pre, model in models.items():
            out.write("static const int32_t golden_ids_%s[] = {\n" % pre.replace("-", "_"))
            for text in TEXTS:
                ids = tokens_of(program, model, text, "--no-parse-special")
                numbers(out, [len(ids), *ids])
            out.write("};\n")


def write_chat(program, model):
    text = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in CHAT)
    with header("chat.h") as out:
        out.write("static const char golden_system[] = %s;\n" % quoted(CHAT[0][1].encode()))
        out.write("static const char golden_user[] = %s;\n\n" % quoted(CHAT[1][1].encode()))
        out.write("static const int32_t golden_chat[] = {\n")
        numbers(out, tokens_of(program, model, text + "<|im_start|>assistant\n"))
        out.write("};\n")


def main():
    program = sys.argv[1]
    tokens, merges = vocabulary()
    write_vocabulary(tokens, merges)
    with tempfile.TemporaryDirectory() as folder:
        models = {pre: os.path.join(folder, pre + ".gguf") for pre in PRES}
        for pre, model in models.items():
            write_gguf(model, pre, tokens, merges)
        write_texts(program, models)
        write_chat(program, models["smollm"])


main()
