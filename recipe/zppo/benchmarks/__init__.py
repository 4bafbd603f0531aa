"""The paper's 31 benchmarks: what each is, and how a response to one is scored (App. B.2, Tables 5 to 7).

    contract.py          what a benchmark is: source, how a row becomes questions, who scores
    questions.py         how options are written
    seen.py              pictures and videos in front of a text or within it; what a row says about form taken off
    llm/ vlm/ video/     one file a benchmark, to be read beside its source
    scoring/             rules that read an answer off a response, official metrics, official judges
    local_files.py       files of a data set, of a folder or downloaded from the hub
    loading.py           questions of its rows, one after the other
    grading.py           who scores a response: rule, metric or judge
    validation_rows.py   questions as rows of a run's validation; validation_files.py writes them
    registry.py          all of them by name

Who is asked, and how, is `recipe.zppo.evaluate`; validation during training scores by the same definitions.
"""
