"""Changes that leave a post's message as it is, so that the network learns the message and not the form.

Published archives strip punctuation, digits and case from some posts, accounts tag one message for different crowds,
and written-for-training posts are tidier than real ones. Each post is changed at random, anew in every epoch.

What :func:`~narratrace.model.text.normalise` undoes needs no change here: links, mentions, zero-width characters and
width. It takes the mark off a hashtag and keeps the word, so tags are added and dropped as words. Script needs none
either: the tokenizer and the wide part fold it.
"""

from __future__ import annotations

import random
import re
import string
import unicodedata

from narratrace.training.settings import AugmentationSettings

_EMOJI = tuple(
    "😀 😂 🤣 😅 😊 😍 😎 🤔 🙄 😏 😒 😢 😭 😡 🤬 😱 🤮 🤡 👍 👎 👏 🙏 🙏🏻 💪 🤝 👊 ✊ 👀 ❤ ❤️ 💔 "
    "🔥 ⭐ ✨ 💯 🎉 🌹 🌈 ☀ 🌧 ⚡ 🐶 🐱 🍀 🍵 🎵 📢 📷 📌 ✅ ❌ ❗ ❓ 🇨🇳 🇭🇰 🇺🇸 🇬🇧".split()
)

_COMMON_TAGS = tuple(
    "news breaking love photo follow monday weekend travel music foodie trending FYP viral art nature life "
    "今日 新闻 新聞 热搜 熱門 生活 日常 旅行 美食 早安 晚安 分享 转发 轉發 吃瓜 頭條 电影 天氣".split()
)
"""Tags that are on posts of any content."""

_TAGS_AT_ONCE = 3

_CONFUSED = tuple(
    "的得地 在再 做作坐座 他她它 是事式市视 以已意亿 又有由右 为位未围 和合河何 会回汇 那哪纳 像象向 带代待 "
    "到道倒 近进尽 心新信欣 知之支只 公工攻供 国果过 明名民 政正整证 力利立历 人仁任认 法发罚 景警井 查察茶 "
    "报暴抱爆 徒图途 自字 反返番 对队 药要 这着者 里理李 年念 全权圈 国过裹 讲港 嘅既 咁甘 唔吾 佢巨 發法髮 "
    "會匯 國過 報暴 認任 權全 們門 說設 個箇 來萊 還環 時實 長張 東冬".split()
)
"""Characters that input methods offer for one another, or that look or sound alike."""

_MISTAKEN = {
    character: [other for group in _CONFUSED if character in group for other in group if other != character]
    for character in {character for group in _CONFUSED for character in group}
}

_NEGATIONS = frozenset("不没沒無无未别別莫勿非否唔冇")
"""Characters that a typo spares: without them the message is another."""

_HOMOGLYPHS = dict(zip("aceopxyiABCEHKMOPTX", "асеорхуіАВСЕНКМОРТХ", strict=True))
"""Latin letters and the Cyrillic ones that look the same."""

_WORD = re.compile(r"[A-Za-z]{5,}")
"""Words that a typo leaves readable; "not", "no" and "never" are too short or spared."""

_SPARED_WORDS = frozenset({"never", "isnt", "dont", "cannot", "without"})

_LETTERS_PER_TYPO = 20
"""A post gets up to one typo for so many letters, and at least one."""


class Augmentation:
    """Changes posts at random.

    Parameters
    ----------
    settings
        How often each change is made.
    """

    def __init__(self, settings: AugmentationSettings) -> None:
        self._settings = settings
        self._tags = frozenset(tag.casefold() for tag in (*settings.tags, *_COMMON_TAGS))

    def __call__(self, text: str, rng: random.Random) -> str:
        """Return a changed copy of a normalised post; never an empty one."""
        settings = self._settings
        changed = text
        if rng.random() < settings.drop_tags:
            changed = self._drop_tags(changed) or changed
        if rng.random() < settings.typos:
            changed = add_typos(changed, rng)
        if rng.random() < settings.strip_punctuation:
            changed = strip_punctuation(changed) or changed
        if rng.random() < settings.strip_digits:
            changed = _strip_digits(changed)
        if rng.random() < settings.lower_case:
            changed = changed.lower()
        if rng.random() < settings.homoglyphs:
            changed = add_homoglyphs(changed, rng)
        if rng.random() < settings.add_tags:
            changed = self._add_tags(changed, rng)
        if rng.random() < settings.add_emoji:
            changed = add_emoji(changed, rng)
        return changed

    def _drop_tags(self, text: str) -> str:
        """Remove the tags that a post begins and ends with, as far as they are known for tags."""
        words = text.split(" ")
        while words and words[-1].casefold() in self._tags:
            words.pop()
        while words and words[0].casefold() in self._tags:
            words.pop(0)
        return " ".join(words)

    def _add_tags(self, text: str, rng: random.Random) -> str:
        """Put one to three words before or behind a post: tags of the campaign, common ones, random letters."""
        added = []
        for _ in range(rng.randint(1, _TAGS_AT_ONCE)):
            kind = rng.random()
            if kind < 0.6 and self._settings.tags:
                added.append(rng.choice(self._settings.tags))
            elif kind < 0.85:
                added.append(rng.choice(_COMMON_TAGS))
            else:
                added.append("".join(rng.choices(string.ascii_letters + string.digits, k=rng.randint(3, 8))))
        tags = " ".join(added)
        return f"{tags} {text}" if rng.random() < 0.2 else f"{text} {tags}"


def add_emoji(text: str, rng: random.Random) -> str:
    """Put one to three emoji behind a post, before it, or between two of its characters."""
    emoji = "".join(rng.choices(_EMOJI, k=rng.randint(1, 3)))
    place = rng.random()
    if place < 0.7:
        return text + rng.choice(("", " ")) + emoji
    if place < 0.85:
        return emoji + rng.choice(("", " ")) + text
    # Not within a Latin word or an emoji sequence.
    gaps = [at for at in range(1, len(text)) if text[at] == " " or text[at - 1] in ".,!?;。、"]
    at = rng.choice(gaps or [len(text)])
    return text[:at] + emoji + text[at:]


def add_homoglyphs(text: str, rng: random.Random) -> str:
    """Replace one to three Latin letters by Cyrillic ones that look the same, as those do who dodge filters."""
    places = [at for at, character in enumerate(text) if character in _HOMOGLYPHS]
    characters = list(text)
    for at in rng.sample(places, min(len(places), rng.randint(1, 3))):
        characters[at] = _HOMOGLYPHS[characters[at]]
    return "".join(characters)


def add_typos(text: str, rng: random.Random) -> str:
    """Mistype a post here and there, but no negation.

    A Chinese character is dropped, doubled, swapped with the next, or replaced by one that is confused with it or,
    where none is known, by another of the post. In a Latin word of five letters or more one letter within is dropped,
    doubled or swapped with the next.

    Examples
    --------
    >>> add_typos("police", random.Random(1))
    'plice'
    """
    chinese = [at for at, character in enumerate(text) if _is_chinese(character) and character not in _NEGATIONS]
    words = [match.span() for match in _WORD.finditer(text) if match[0].lower() not in _SPARED_WORDS]
    letters = len(chinese) + sum(end - start for start, end in words)
    most = max(1, letters // _LETTERS_PER_TYPO)
    # A short Chinese text says too much with each character to lose one.
    places = [*(chinese if len(chinese) > 4 else []), *(rng.randrange(start + 1, end - 2) for start, end in words)]
    characters = list(text)
    for at in rng.sample(places, min(len(places), rng.randint(1, most))):
        _mistype(characters, at, text, chinese, rng)
    return "".join(characters)


def _mistype(characters: list[str], at: int, text: str, chinese: list[int], rng: random.Random) -> None:
    """Make one typo in place: ``characters`` keeps its length, and an entry may become empty or two characters."""
    is_chinese = _is_chinese(text[at])
    following = text[at + 1 : at + 2]
    swappable = following.isascii() and following.isalpha() if not is_chinese else _may_swap(following)
    # Only what no other typo has touched.
    kind = rng.choice(("drop", "double", "swap", "replace") if is_chinese else ("drop", "double", "swap"))
    if kind == "swap" and swappable and characters[at] == text[at] and characters[at + 1] == following:
        characters[at], characters[at + 1] = following, text[at]
    elif kind == "double":
        characters[at] *= 2
    elif kind == "replace":
        characters[at] = rng.choice(_MISTAKEN.get(text[at]) or [text[other] for other in chinese])
    else:
        characters[at] = ""


def _may_swap(character: str) -> bool:
    return bool(character) and _is_chinese(character) and character not in _NEGATIONS


def _is_chinese(character: str) -> bool:
    return "\u3400" <= character <= "\u9fff"


def _strip_digits(text: str) -> str:
    stripped = "".join(character for character in text if not character.isdigit())
    return stripped if stripped.strip() else text


def strip_punctuation(text: str) -> str:
    """Remove punctuation and symbols as publishers of archives do: glued in Chinese, one blank elsewhere.

    Examples
    --------
    >>> strip_punctuation("警察，加油！Stand firm, now.")
    '警察加油Stand firm now'
    """
    kept = []
    for position, character in enumerate(text):
        if unicodedata.category(character)[0] not in "PS":
            kept.append(character)
        elif position + 1 < len(text) and kept and kept[-1].isascii() and text[position + 1].isascii():
            kept.append(" ")
    return " ".join("".join(kept).split())
