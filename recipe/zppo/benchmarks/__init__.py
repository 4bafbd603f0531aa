"""The paper's 31 benchmarks: what each is, and how a response to one is scored (App. B.2, Tables 5 to 7).

    contract.py          what a benchmark is: source, how a row becomes questions, who scores
    questions.py         how options are written
    llm/ vlm/ video/     one file a benchmark, to be read beside its source
    scoring/             rules that read an answer off a response, official metrics, official judges
    loading.py           rows of the hub or of a folder, one after the other
    registry.py          all of them by name

Who is asked, and how, is `recipe.zppo.evaluate`; validation during training scores by the same definitions.
"""
