"""Bytes that are mostly one encoding: one bad line does not spoil the rest."""

import pytest

from speechbrain_c2ser.data.text_files import decode


@pytest.mark.parametrize(
    "content, text",
    [
        # A text that was cut within a character.
        (
            "a.wav,生气,ok\nb.wav,高兴,".encode() + b"\xe6\xb5\n",
            "a.wav,生气,ok\nb.wav,高兴,\ufffd\n",
        ),
        # Lines that another editor added.
        (
            "Ärger\nÜbel\nMüde\n".encode() + "fröhlich".encode("cp1252"),
            "Ärger\nÜbel\nMüde\nfröhlich",
        ),
        (
            "今天我很难过\n真的吗\n我不相信\n".encode()
            + "生气\n".encode("gb18030"),
            "今天我很难过\n真的吗\n我不相信\n生气\n",
        ),
        # 女 of GBK looks like UTF-8, and fills a column.
        (
            ("a,女\n" * 9 + "b,男\n").encode("gbk"),
            "a,女\n" * 9 + "b,男\n",
        ),
        # One zero byte is no UTF-16; long Chinese has few.
        (b"id,a\nx,\x00b\n", "id,a\nx,\0b\n"),
        (
            ("u1," + 9 * "今天我很难过" + "\n").encode("utf-16-le"),
            "u1," + 9 * "今天我很难过" + "\n",
        ),
        *(
            (text.encode(f"utf-16-{end}"), text)
            for text in (
                "这个人听起来很生气\n他很高兴，说话很快\n悲伤的语气\n中性\n"
                * 5,
                "Он очень зол\nИ говорит громко\n" * 5,
                "这个人一直很生气\n他很高兴，说话很快\n悲伤的语气\n" * 5,
            )
            for end in ("le", "be")
        ),
        # `cat a.txt b.txt`, and a mark that was put before a mark.
        (
            "\ufeff\ufeffa\n\ufeffb\r\ufeffc\ufeff".encode(),
            "a\nb\rc\ufeff",
        ),
    ],
)
def test_texts_of_two_encodings(content, text):
    assert decode(content) == text
