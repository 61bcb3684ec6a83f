"""Progress of what takes long."""

from copick_tools.progress import progress


def test_progress_goes_to_standard_error_when_asked_for(capsys):
    with progress(2, "writing", shown=True) as advance:
        advance("tomogram")
        advance("picks")

    out, err = capsys.readouterr()
    assert out == ""
    assert "writing" in err


def test_nothing_is_shown_where_standard_error_is_no_terminal(capsys):
    with progress(2, "writing") as advance:
        advance("tomogram")

    assert capsys.readouterr() == ("", "")
