"""What simulated meetings talk about: the rules of the grammar, as plain data.

A rule's name stands in braces; its alternatives are drawn with equal chance, so that writing one
twice doubles its share. Words and punctuation marks are separated by spaces. `L_C_D` is spelled
out, as the AMI transcribers write it.
"""

from __future__ import annotations

RULES: dict[str, tuple[str, ...]] = {
    # Sounds of thinking. Most of the time there are none.
    "um": ("", "", "", "", "", "", "um ,", "uh ,"),
    "so": ("", "", "", "so", "okay , so", "well ,", "and"),
    # Numbers.
    "digit": ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    "tens": ("twenty", "thirty", "forty", "fifty", "sixty"),
    "number": ("{digit}", "twelve", "fifteen", "{tens}", "{tens} five"),
    "percent": ("{tens} percent", "{tens} {digit} percent", "fifteen percent"),
    "price": ("twelve fifty", "twelve euros", "{number} euros", "{number} million euros"),
    "minutes": ("five minutes", "ten minutes", "{tens} minutes", "half an hour"),
    "count": ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "{tens}"),
    "day": ("monday", "tuesday", "friday"),
    # Things.
    "product": ("remote control", "remote control", "remote", "product", "device", "prototype"),
    "part": ("button", "screen", "chip", "battery", "case", "wheel", "speaker", "L_C_D", "display"),
    "parts": ("buttons", "batteries", "colours", "functions", "features", "chips", "users"),
    "subject": ("design", "budget", "interface", "market", "project", "schedule", "material"),
    "colour": ("red", "yellow", "blue", "black", "white", "green"),
    "material": ("plastic", "wood", "rubber", "titanium"),
    "quality": ("simple", "small", "easy to use", "expensive", "cheap", "new", "big", "modern"),
    "quality_good": ("good", "great", "nice", "important", "useful", "interesting"),
    "group": ("young people", "old people", "the users", "most people", "the company", "children"),
    "who": ("I", "we", "you", "they"),
    "we_do": ("I'll", "we'll", "we can", "we could", "I can", "I would", "we should"),
    "do_thing": (
        "use a {part}",
        "make the {part} {quality}",
        "look at the {subject}",
        "put the {part} on the side",
        "change the {subject}",
        "sell it for {price}",
        "talk about the {parts}",
        "have {count} {parts}",
        "use {material} for the case",
        "keep it {quality}",
        "work on the {subject}",
    ),
    "think": ("I think", "I think", "I guess", "maybe", "we think", "you know", "I mean"),
    # Dialogue acts. A turn is one or more of them.
    "opening": (
        "okay , {um} good morning everybody .",
        "right , {um} welcome to the meeting .",
        "okay , let's start the meeting .",
        "so {um} shall we start with the {subject} ?",
    ),
    "closing": (
        "okay , {um} that's it for today .",
        "right , we have {minutes} left .",
        "thank you everybody .",
        "okay , see you on {day} .",
    ),
    "introduce": (
        "okay , {um} next is the {subject} .",
        "now let's talk about the {subject} .",
        "{um} can you tell us about the {subject} ?",
        "so what about the {parts} ?",
        "the next thing is the {product} .",
        "we have {minutes} for the {subject} .",
    ),
    "state": (
        "{so} {um} the {product} should be {quality} .",
        "{so} the {part} is on the {colour} side .",
        "{so} {group} want a {quality} {product} .",
        "{percent} of the people don't like the {parts} .",
        "{so} {group} use only {percent} of the {parts} .",
        "{think} the {part} is too {quality} .",
        "{think} {um} {we_do} {do_thing} .",
        "{so} it has a {colour} {part} and {count} {parts} .",
        "the {part} will cost {price} .",
        "{so} we want to sell it for {price} .",
        "we need {count} {parts} for the {product} .",
        "the {product} is made of {material} .",
        "{so} {um} I looked at the {subject} .",
        "that's the {subject} for the {product} .",
        "there is a problem with the {part} .",
        "we need the {product} on {day} .",
        "the next meeting is on {day} .",
        "I will start with the {subject} on {day} .",
        "it's not very {quality} , but it's {quality_good} .",
        "you can turn on the T_V_ with the {part} .",
        "you just push the {part} and the T_V_ is on .",
    ),
    "propose": (
        "{so} {um} {we_do} {do_thing} .",
        "{think} {we_do} {do_thing} .",
        "why don't we {do_thing} ?",
        "what if {who} {do_thing} ?",
        "let's {do_thing} .",
    ),
    "ask": (
        "{so} how many {parts} do we need ?",
        "{um} what do you think about the {part} ?",
        "is the {part} {quality} ?",
        "{so} how much is the {part} ?",
        "do {group} like the {colour} one ?",
        "what colour is the {part} ?",
        "{um} should we {do_thing} ?",
        "when do we have the {product} ?",
        "does it have a {part} ?",
    ),
    "answer": (
        "yeah , {um} {think} it's {quality} .",
        "no , {um} {think} it's too {quality} .",
        "about {number} .",
        "{um} {count} {parts} , I think .",
        "it's {price} .",
        "on {day} , I think .",
        "in {minutes} , or next week .",
        "I don't know .",
        "{um} maybe {colour} or {colour} .",
        "yes , it has a {part} .",
    ),
    "agree": (
        "yeah , that's {quality_good} .",
        "okay , {we_do} {do_thing} .",
        "yeah , I agree .",
        "yes , that's a {quality_good} idea .",
        "right , that's true .",
        "sure , we can do that .",
    ),
    "disagree": (
        "no , {um} I don't think so .",
        "{um} but it's too {quality} .",
        "well , the {part} is {quality} .",
        "but then it will cost {price} .",
        "I'm not sure about the {part} .",
    ),
    "decide": (
        "okay , so {we_do} {do_thing} .",
        "right , so we have a {colour} {part} .",
        "okay , that's fine .",
        "so everybody is happy with the {part} .",
        "okay , {price} then .",
    ),
    "backchannel": (
        "yeah .",
        "yeah .",
        "mm-hmm .",
        "mm-hmm .",
        "okay .",
        "right .",
        "uh-huh .",
        "hmm .",
        "sure .",
        "yeah , yeah .",
        "oh okay .",
    ),
}

#: How espeak-ng is asked to say what it would otherwise spell: its phoneme mnemonics in brackets.
SPOKEN: dict[str, str] = {
    "mm-hmm": "[[m:h'Vm]]",
    "hmm": "[[h'm:]]",
    "uh-huh": "uh huh",
}

#: Words that speakers break off now and then, and what is heard of them.
BROKEN_OFF: dict[str, str] = {
    "remote": "rem",
    "design": "de",
    "interface": "inter",
    "prototype": "proto",
    "expensive": "exp",
    "product": "prod",
}
