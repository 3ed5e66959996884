"""Make campaign.jsonl, an invented archive for `narratrace group`: python examples/make_campaign.py.

A town argues about a bridge. Twelve accounts post the same eight messages within minutes of each other, changed a
little each time. Forty others chat, pass a petition on over days, and share the same news through a share button.
"""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

from opencc import OpenCC

HERE = Path(__file__).parent
START = datetime(2024, 3, 4, tzinfo=UTC)
DAYS = 6

PUSHED = [
    "南灣大橋的工程款去了哪裡？議員收了承建商的錢才投票通過，市民卻要多付二十年路費，大家一定要看清楚！",
    "反對大橋的所謂環保團體，帳戶裡都是外國基金會的錢，他們不是愛海豚，他們愛的是鈔票，別再被騙了！",
    "大橋一停工，三千個工人就要失業。請問那些在街上喊口號的學生，你們替他們的孩子交學費嗎？",
    "昨晚碼頭那場火，目擊者說看見穿黑色雨衣的示威者從倉庫後面跑出來，警方為什麼到現在都不公布？",
    "漁民協會的會長自己就有三條船在外海，他帶頭鬧事，說穿了是怕大橋通車以後運費不再由他說了算。",
    "Where did the money for the South Bay bridge go? The council took it, and we will pay tolls for twenty years. "
    "Share this!",
    "聽說醫院已經接到通知，示威期間不准對外說受傷人數。你身邊的人知道這件事嗎？轉給他們看。",
    "支持大橋就是支持南灣的未來！沉默的大多數站出來，不要讓幾百個鬧事的人綁架整座城市！",
]
PETITION = "請大家花一分鐘聯署：要求市議會公開南灣大橋的環境評估報告全文，並在表決前舉行三場公聽會，多謝支持！"
SHARED = "南灣日報：市議會以十二比九票通過大橋撥款，工程預計秋天動工（分享自南灣新聞APP） https://news.example/bridge"
CHAT = (
    "早晨各位|落雨喇|塞車塞到喊|夜晚食咩好|今日好熱|返工喇|收工飲茶|"
    "放假真好|眼瞓|聽日考試|新劇好睇|買咗新鞋|跑咗五公里|貓又打翻杯水|咖啡真係救命"
)
TAILS = ["", "", " #南灣大橋", " @bay_news", " 🔥🔥", " qx7", " https://t.example/a1", "！！！", " #醒醒吧"]


def main() -> None:
    """Draw the posts and write them in order of time."""
    chance = random.Random(20240304)
    to_simplified = OpenCC("t2s").convert
    network = [
        f"bay_{name}"
        for name in "lantern harbour kite ferry willow copper maple signal quartz heron amber delta".split()
    ]
    others = [f"user{number:03}" for number in range(1, 41)]
    posts: list[tuple[datetime, str, str]] = []

    def add(account: str, day: int, minute: float, text: str) -> None:
        posts.append((START + timedelta(days=day, seconds=round(60 * minute)), account, text))

    # What everybody does: a few posts a day, in waking hours.
    for account in network + others:
        for day in range(DAYS):
            for _ in range(chance.randint(1, 3) + 2 * (account in network)):
                add(account, day, chance.uniform(0, 900), chance.choice(CHAT.split("|")))
    for number, message in enumerate(PUSHED):
        day, minute = number * DAYS // len(PUSHED), chance.uniform(60, 600)
        for account in chance.sample(network, chance.randint(8, 12)):
            text = to_simplified(message) if chance.random() < 0.4 else message
            if chance.random() < 0.2:
                text = text[: int(len(text) * 0.7)]
            add(account, day, minute + chance.uniform(0, 8), text + chance.choice(TAILS))
    for account in chance.sample(others, 14):
        add(account, chance.randrange(DAYS), chance.uniform(0, 900), PETITION)
    for account in chance.sample(others, 9) + network[:2]:
        add(account, 2, chance.uniform(100, 700), SHARED)

    with (HERE / "campaign.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        for number, (time, account, text) in enumerate(sorted(posts)):
            post = {"id": f"c{number:04}", "account_id": account, "text": text, "created_at": time.isoformat()}
            file.write(json.dumps(post | {"is_repost": False}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
