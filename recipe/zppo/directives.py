"""Takes instructions on how to reason and where to put the answer off a question: our closer (Fig. 8) is the only one.

Data sets end their questions with "Let's think step by step and output the final answer within \\boxed{}." and the
like. A sentence at the end (or the first line) goes if it begins as an instruction and has no word but those of such
instructions; so whatever names a thing to find, or says what the answer looks like ("Round to two decimals", "Answer
with the option's letter"), stays. Of "Find the angle A and put your answer in \\boxed{}." the clause goes. An
instruction in words that are not listed here stays: losing the question is far worse.
"""

import re

_MARK = re.compile(r"\\boxed\b|####|</?(?:think|answer|reasoning|solution)>", re.IGNORECASE)
"""What has one of these is about the form."""

_FORM = re.compile(
    r"step[- ]by[- ]step|internal monologue|final answer|careful reasoning|(?:form|after) \W*answer:", re.IGNORECASE
)

_IMPERATIVE = re.compile(
    r"\W*(?:(?:hint|note|important)\s*:\s*)?(?:(?:please|now|also|then|finally|first|directly|carefully),? )*"
    r"(?:answer|respond|reply|give|giving|provide|output|write|put|place|enclose|wrap|box|present|return|use|remember|"
    r"(?:make|be) sure|let'?s|let us|think|reason|solve|work through|explain|show|you (?:first|should|must|need)|"
    r"the last line of your (?:answer|response)|"
    r"(?:the|your|all) (?:final |whole )?(?:answer|reasoning|thinking|response|thought))\b",
    re.IGNORECASE,
)

_PHRASES = (
    # Words that a task could have too are known only beside others that make them a directive's.
    r"(?:solve|solving|work through) (?:the|this) (?:(?:following|given|above|math|maths|mathematical) )*"
    r"(?:problem|question|task)",
    r"(?:explain|show)(?:ing)? (?:all )?(?:your|the) (?:(?:full|complete|whole) )?"
    r"(?:answer|reasoning|thinking|steps|work)",
    r"you (?=first)",
    r"first,? (?=think|reason|answer|output|provide|give|write|put|show|explain)",
    r"at the end(?: of your (?:answer|response|reasoning))?",
    r"last(?=\W*$)",
    r"the last line of|on its own line|(?:should be )?(?:of|in) the form(?= \W?answer:)|without quotes",
    r"where(?= \W*answer is)|do (?:not )?need to|(?<=boxed )command",
    r"an? (?=box|clear|complete|concise|detailed|final|internal|step|\\boxed)",
    r"make sure (?:that|to)|be sure to|let'?s|let us|i\.e",
)
_WORDS = """
    about after all also always and answer answers answering are as be before below between box boxed braces by
    careful carefully chain clear clearly complete concise correct curly deeply detailed directly enclose enclosed
    enclosing explanation final finally following format formatted give given giving hint here important in inside
    internal into is it latex monologue must need needs note now only or output own please place placed placing present
    presenting problem process provide provided providing put putting question reason reasoned reasoning remember reply
    respectively respond response return should step steps tag tags task the them then think thinking this thought
    thoughts through to use using whole will with within wrap wrapped wrapping write writing written you your
"""
_KNOWN = re.compile(
    rf"(?:{_MARK.pattern}|\b(?:{'|'.join(_PHRASES)})(?>\b|(?<=\s))|\b(?:{'|'.join(_WORDS.split())})\b|"
    r"\\\$|[\s.,;:!?\"“”'’`(){}$*-])++",  # possessive: a word may be known in several ways, and each would be tried
    re.IGNORECASE,
)
_SUBJECT = re.compile(r"\b(?:think|thinking|reason|reasoning|answer\w*|respon\w+|reply|problem|question|task)\b", re.I)
"""What a directive is about. "Write it step by step" may be the task."""
_PRONOUN = re.compile(r"\b(?:it|them)\b", re.IGNORECASE)

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+|\n")
_LABEL = re.compile(r"(?:^|\n)[ \t]*\(?(?:[A-Za-z]|\d{1,2})[.)]\s*$")
"""Of an option or a part, whose text is no directive whatever it says."""
_CLAUSE = re.compile(r"[,;]?\s+(?:and(?: then)?|then)\s+|[,;]\s+", re.IGNORECASE)
_IN_TAGS = re.compile(
    r"\s+(?:inside|within|in|between) (?:the )?<answer>[\s.]*(?:and )?</answer>(?: tags?)?(?=\.?\s*$)", re.IGNORECASE
)


def strip_directives(question: str) -> str:
    """The question without such instructions; unchanged if nothing would be left."""
    text = question.rstrip()
    start = _last_sentence(text)
    while text and is_directive(text[start:]) and not _LABEL.search(text[:start]):
        text = text[:start].rstrip()
        start = _last_sentence(text)
    if not _LABEL.search(text[:start]):
        text = text[:start] + _without_clause(text[start:])
    first, newline, rest = text.partition("\n")
    if newline and all(is_directive(sentence) for sentence in _SENTENCE_END.split(first.strip())):
        text = rest.lstrip()
    return text if _says_something(text) else question


def is_directive(sentence: str) -> bool:
    """Whether a sentence only says how to reason or where to put the answer."""
    sentence = sentence.strip()
    if len(sentence) > 400 or sentence.endswith("?") or not _IMPERATIVE.match(sentence):
        return False
    if not _KNOWN.fullmatch(sentence):
        return False
    subject = _MARK.sub(" ", sentence)
    if _MARK.search(sentence):
        return bool(_SUBJECT.search(subject) or _PRONOUN.search(subject))
    return bool(_FORM.search(sentence) and _SUBJECT.search(subject))


def _last_sentence(text: str) -> int:
    """Where it begins."""
    return max((match.end() for match in _SENTENCE_END.finditer(text)), default=0)


def _without_clause(sentence: str) -> str:
    """The sentence without ", and put your answer in \\boxed{}" or "in <answer></answer> tags" at its end."""
    for match in _CLAUSE.finditer(sentence):
        clause, task = sentence[match.end() :], sentence[: match.start()]
        # A formula must not be torn apart.
        if _MARK.search(clause) and is_directive(clause) and task.count("$") % 2 == 0 and _says_something(task):
            return task + ("." if sentence.rstrip().endswith(".") else "")
    return _IN_TAGS.sub("", sentence)


def _says_something(text: str) -> bool:
    return any(char.isalnum() for char in text.replace("<image>", ""))
