"""The field's corpora with a handful of files each, in their real layouts.

``MINIATURES``: module name -> a function that builds the corpus in a folder
with ``put(path)``, which lays a wav of 0.1 s there.
"""

import io
import json

VOICED = "a b c d".split()


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def write_csv(folder, name, rows, delimiter=","):
    lines = [rows[0].keys(), *(row.values() for row in rows)]
    text = "\n".join(delimiter.join(map(str, line)) for line in lines)
    write(folder, name, text + "\n")


def emodb(folder, put):
    for speaker in "03 08 09 10 11 12 13 14 15 16".split():
        for letter in "WLEAFTN":
            put(f"wav/{speaker}a01{letter}a.wav")
    write(folder, "wav/notes.txt", "not audio")


def ravdess(folder, put):
    for actor in range(1, 13):
        for emotion in range(1, 9):
            put(f"Actor_{actor:02}/03-01-{emotion:02}-01-02-01-{actor:02}.wav")
        put(f"Actor_{actor:02}/03-02-01-01-01-01-{actor:02}.wav")


def cremad(folder, put):
    actors = []
    for actor in range(1001, 1011):
        sex = "Male" if actor % 2 else "Female"
        actors.append({"ActorID": actor, "Age": 30, "Sex": sex})
        for emotion in "ANG DIS FEA HAP NEU SAD".split():
            put(f"AudioWAV/{actor}_DFA_{emotion}_XX.wav")
    write_csv(folder, "VideoDemographics.csv", actors)


def casia(folder, put):
    for speaker in "liuchanhg wangzhe zhaoquanyin ZhaoZuoxiang".split():
        for emotion in "angry fear happy neutral sad surprise".split():
            put(f"{speaker}/{emotion}/201.wav")


def emovo(folder, put):
    for actor in "f1 f2 f3 m1 m2 m3".split():
        for emotion in "rab dis pau gio neu tri sor".split():
            put(f"{actor}/{emotion}-{actor}-b1.wav")


def mesd(folder, put):
    for emotion in "Anger Disgust Fear Happiness Neutral Sadness".split():
        for voice in "FMC":
            for word in ("abajo", "tal vez"):
                put(f"MESD/{emotion}_{voice}_A_{word.replace(' ', '_')}.wav")


def asvp_esd(folder, put):
    for actor in range(101, 109):
        for emotion in range(1, 14):
            put(
                f"Audio/actor_{actor}/03-01-{emotion:02}-01-02-{actor}-02-02-"
                "01-09-66.wav"
            )
    put("Audio/actor_101/03-02-03-01-02-101-02-02.wav")


def shemo(folder, put):
    for number in range(1, 6):
        for letter in "AFHNSW":
            put(f"female/F{number:02}{letter}01.wav")
            put(f"male/M{number:02}{letter}01.wav")
    write(
        folder,
        "shemo.json",
        json.dumps({"F01A01": {"transcript": "سلام", "emotion": "anger"}}),
    )


def nemo(folder, put):
    rows = []
    for speaker in "EB0 IC0 KD0 KS0 MK0 MP0 SM0 TP0 WR0".split():
        for emotion in "anger fear happiness neutral sadness surprised".split():
            name = f"{speaker}_{emotion}_1.wav"
            put(f"samples/{name}")
            rows.append(
                {
                    "file_id": name,
                    "emotion": emotion,
                    "raw_text": "Lubię czytać przed snem.",
                    "normalized_text": "lubię czytać przed snem",
                    # As in the real table.
                    "speaker_id": f"        {speaker}",
                    "gender": "female",
                    "age": 25,
                }
            )
    write_csv(folder, "data.tsv", rows, "\t")


def emov_db(folder, put):
    styles = "Amused Angry Disgusted Neutral Sleepy".split()
    for speaker in "bea jenie josh sam".split():
        for style in styles:
            if speaker != "josh" or style not in ("Angry", "Disgusted"):
                put(f"{speaker}_{style}/{style.lower()}_1-15_0001.wav")
    write(
        folder, "cmuarctic.data", '( arctic_a0001 "Author of the danger." )\n'
    )


def esd(folder, put):
    emotions = "Neutral Angry Happy Sad Surprise".split()
    for speaker in (1, 2, 3, 11, 12):
        lines = []
        for index, emotion in enumerate(emotions):
            for sentence in (1, 21, 51):
                name = f"{speaker:04}_{350 * index + sentence:06}"
                put(f"{speaker:04}/{emotion}/{name}.wav")
                lines.append(f"{name}\t打远一看\t{emotion}")
        path = folder / f"{speaker:04}" / f"{speaker:04}.txt"
        path.write_bytes("\n".join(lines).encode("gb18030"))


def msp_podcast(folder, put):
    rows = []
    splits = ["Train"] * 16 + ["Development"] * 8 + ["Test1"] * 8 + ["Test2"]
    for index, split in enumerate([*splits, "Train"]):
        name = f"MSP-PODCAST_0001_{index:04}.wav"
        put(f"Audios/{name}")
        rows.append(
            {
                "FileName": name,
                "EmoClass": "X" if index == 33 else "ASHUFDCN"[index % 8],
                "EmoAct": 4.5,
                "EmoVal": 3.5,
                "EmoDom": 5.0,
                "SpkrID": "Unknown" if index == 0 else f"{split}{index % 2}",
                "Gender": "Female",
                "Split_Set": split,
            }
        )
    write_csv(folder, "Labels/labels_consensus.csv", rows)
    write(folder, "Transcripts/MSP-PODCAST_0001_0001.txt", "Well, yes.\n")


def meld(folder, put):
    emotions = "anger disgust fear joy neutral sadness surprise".split()
    places = {
        "train": "train/train_splits",
        "dev": "dev_splits_complete",
        "test": "output_repeated_splits_test",
    }
    for name, clips in places.items():
        rows = []
        for turn, emotion in enumerate(emotions):
            put(f"{clips}/dia0_utt{turn}.wav")
            rows.append(
                {
                    "Utterance": f'"Oh, {emotion}!"',
                    "Speaker": "Chandler",
                    "Emotion": emotion,
                    "Sentiment": "positive",
                    "Dialogue_ID": 0,
                    "Utterance_ID": turn,
                }
            )
        inside = "train/" if name == "train" else ""
        write_csv(folder, f"{inside}{name}_sent_emo.csv", rows)


def m3ed(folder, put):
    annotation = {}
    emotions = "Anger Disgust Fear Happy Neutral Sad Surprise".split()
    for split, series in (("train", "甲"), ("val", "乙"), ("test", "丙")):
        write(folder, f"splitInfo/movie_list_{split}.txt", f"{series}\n")
        dialogue = {}
        for turn, emotion in enumerate(emotions):
            key = f"{series}_1_{turn}"
            put(f"modality_speech/A_{key}.wav")
            dialogue[key] = {
                "Speaker": "A",
                "Text": "你好",
                "StartTime": "0",
                "EndTime": "1",
                "EmoAnnotation": {
                    "EmoAnnotator1": emotion,
                    "EmoAnnotator2": emotion,
                    "EmoAnnotator3": "Neutral",
                    "final_mul_emo": emotion,
                    "final_main_emo": emotion,
                },
            }
        annotation[series] = {
            f"{series}_1": {
                "SpeakerInfo": {"A": {"Name": "小明", "Gender": "男"}},
                "Dialog": dialogue,
            }
        }
    write(folder, "annotation.json", json.dumps(annotation))


def emotion_talk(folder, put):
    words = "angry disgusted fearful happy neutral sad surprised".split()
    for group, speaker in ((2, 1), (1, 2), (3, 4)):
        for turn, emotion in enumerate(words, 1):
            dialogue = f"G{group:05}_02"
            name = f"{dialogue}_{speaker:02}_{turn:03}"
            place = f"G{group:05}/{dialogue}/{dialogue}_{speaker:02}/{name}"
            put(f"Audio/wav/{place}.wav")
            about = {
                "data": [{"emotion": emotion}, {"emotion": "neutral"}],
                "emotion_result": emotion,
                "speaker_id": f"{speaker:02}",
                "content": "真的吗",
                "sourceAttr": {
                    "spe_cap": "一位女性",
                    "emo_cap": "情绪",
                    "caption_1": "一位女性语速很快",
                },
                "file_name": f"{place}.wav",
            }
            write(folder, f"Audio/json/{place}.json", json.dumps(about))


def thai_ser(folder, put):
    labels, actors = {}, []
    emotions = "Angry Frustrated Happy Neutral Sad None".split()
    for number in (1, 2, 11, 12):
        actor = f"{number:03}"
        actors.append({"Actor's ID": actor, "Sex": "Female", "Age": 23})
        for turn, emotion in enumerate(emotions):
            rest = f"actor{actor}_impro1_{turn}"
            for mic in ("con", "clip"):
                put(f"studio{actor}/{mic}/s{actor}_{mic}_{rest}.flac")
            labels[f"s{actor}_con_{rest}.wav"] = [
                {
                    "assigned_emo": emotion,
                    "majority_emo": emotion,
                    "annotated": [[emotion], [emotion, "Neutral"]],
                    "agreement": 0.75,
                }
            ]
    write(folder, "emotion_label.json", json.dumps(labels))
    write(folder, "actor_demography.json", json.dumps({"data": actors}))


def zed(folder, put):
    rows = {}
    for index, emotion in enumerate(("angry", "happy", "sad")):
        put(f"wavs/{index}.wav")
        rows[f"z{index}"] = {
            "wav": f"datafolder/wavs/{index}.wav",
            "duration": 0.1,
            "emotion": [{"emo": emotion, "start": 0.02, "end": 0.06}],
            "transcription": "well",
        }
    write(folder, "ZED.json", json.dumps(rows))


RATERS = (
    "C-E2:\t{word};\t()\nC-E3:\t{word}; Neutral;\t()\nC-F1:\tSurprise;\t()\n"
    "A-E2:\tval 3; act 2; dom  2;\t()\n"
)
IEMOCAP = {
    "ang": "Anger",
    "hap": "Happiness",
    "exc": "Excited",
    "neu": "Neutral",
    "sad": "Sadness",
    "fru": "Frustration",
    "xxx": "Other",
}


def iemocap(folder, put):
    for session in range(1, 6):
        blocks, texts = ["% [START - END] TURN_NAME EMOTION [V, A, D]\n"], []
        scene = f"Ses0{session}F_impro01"
        for turn, (code, word) in enumerate(IEMOCAP.items()):
            key = f"{scene}_{'FM'[turn % 2]}{turn:03}"
            put(f"Session{session}/sentences/wav/{scene}/{key}.wav")
            blocks.append(
                f"[6.29 - 8.23]\t{key}\t{code}\t[2.5000, 3.0000, 4.0000]\n"
                + RATERS.format(word=word)
            )
            texts.append(f"{key} [006.2901-008.2357]: Excuse me.")
        place = f"Session{session}/dialog"
        write(folder, f"{place}/EmoEvaluation/{scene}.txt", "\n".join(blocks))
        write(folder, f"{place}/transcriptions/{scene}.txt", "\n".join(texts))


def cameo(folder, put):
    import pyarrow
    from pyarrow import parquet

    content = put("../one.wav").read_bytes()
    languages = {"crema_d": "English", "nemo": "Polish"}
    for dataset, language in languages.items():
        rows = [
            {
                "file_id": f"{speaker}_{emotion}.wav",
                "audio": {"bytes": content, "path": None},
                "emotion": emotion,
                "transcription": "It is eleven.",
                "speaker_id": speaker,
                "gender": "female",
                "age": "30",
                "dataset": "CREMA-D" if dataset == "crema_d" else "nEMO",
                "language": language,
                "license": "ODbL",
            }
            for speaker in VOICED
            for emotion in ("anger", "sadness")
        ]
        path = folder / f"data/{dataset}-00000-of-00001.parquet"
        path.parent.mkdir(exist_ok=True)
        sink = io.BytesIO()
        parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
        path.write_bytes(sink.getvalue())


def cped(folder, put):
    emotions = (
        "anger astonished depress disgust fear grateful happy negative-other "
        "neutral positive-other relaxed sadness worried"
    ).split()
    header = {
        "Speaker": "戴娜", "Gender": "female", "Age": "young",
        "Neuroticism": "low", "Extraversion": "high", "Openness": "high",
        "Agreeableness": "low", "Conscientiousness": "unknown",
        "Scene": "car", "FacePosition_LU": "0_0", "FacePosition_RD": "0_0",
        "Sentiment": "negative",
    }  # fmt: skip
    unknown = dict.fromkeys(list(header)[1:8], "unknown")
    for play, split in (("01", "train"), ("32", "valid"), ("40", "test")):
        rows = []
        for turn, emotion in enumerate(emotions):
            key = f"{play}_000_{turn:03}"
            put(f"audio/{f'{play}/' if turn else ''}{key}.wav")
            other = {"Speaker": "其他", **unknown} if turn == 1 else {}
            rows.append(
                {
                    "TV_ID": play,
                    "Dialogue_ID": f"{play}_000",
                    "Utterance_ID": key,
                    **header,
                    **other,
                    "Emotion": emotion,
                    "DA": "question",
                    "Utterance": "怎么了",
                }
            )
        write_csv(folder, f"data/CPED/{split}_split.csv", rows)


MINIATURES = {
    build.__name__: build
    for build in (
        asvp_esd,
        cameo,
        casia,
        cped,
        cremad,
        emodb,
        emotion_talk,
        emov_db,
        emovo,
        esd,
        iemocap,
        m3ed,
        meld,
        mesd,
        msp_podcast,
        nemo,
        ravdess,
        shemo,
        thai_ser,
        zed,
    )
}
