"""What makes a shell complete commands, options and addresses: a script for each shell, for people to load.

``copick-core`` prints what can be completed in the form of click: type, value and summary. The scripts are ours where click's
would add a space after a run, lose what stands after a comma, or need something that a shell without settings has not loaded.
"""

from __future__ import annotations

_BASH = """\
COMP_WORDBREAKS=${{COMP_WORDBREAKS//[:@]/}}
{source}
_copick_core_goes_on() {{
    local i
    _copick_core_completion "$@"
    if [[ $2 != [\\'\\"]* ]]; then
        for i in "${{!COMPREPLY[@]}}"; do printf -v "COMPREPLY[i]" %q "${{COMPREPLY[i]}}"; done
    fi
    if [[ ${{COMPREPLY[0]}} == */ ]]; then compopt -o nospace 2> /dev/null; fi
    return 0
}}
complete -o nosort -F _copick_core_goes_on copick-core
"""

_ZSH = """\
#compdef copick-core

_copick_core_completion() {{
    local type value summary
    local -a going_on whole described
    (( ! $+commands[copick-core] )) && return 1
    for type value summary in "${{(@f)$(env COMP_WORDS="${{words[*]}}" COMP_CWORD=$((CURRENT-1)) \\
{variable}=zsh_complete copick-core)}}"; do
        case $type in
            dir) _path_files -/ ;;
            file) _path_files -f ;;
            plain)
                if [[ $summary != _ ]]; then described+=("$value:$summary")
                elif [[ $value == */ ]]; then going_on+=("$value")
                else whole+=("$value")
                fi ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#going_on )) && compadd -U -S '' -V unsorted -a going_on
    (( $#whole )) && compadd -U -V unsorted -a whole
    return 0
}}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _copick_core_completion "$@"
else
    (( $+functions[compdef] )) || {{ autoload -Uz compinit && compinit -i }}
    compdef _copick_core_completion copick-core
fi
"""

_FISH = """\
function _copick_core_completion
    for line in (env {variable}=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) copick-core)
        set -l parts (string split -m 1 "," -- $line)
        switch $parts[1]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
            case plain
                echo $parts[2]
        end
    end
end
complete --no-files --command copick-core --arguments "(_copick_core_completion)"
"""

_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
SHELLS = tuple(_SCRIPTS)


def completion_script(shell: str) -> str:
    """The script that makes a shell complete what is typed.

    Args:
        shell: One of :data:`SHELLS`.
    """
    from click.shell_completion import BashComplete

    from copick_core.__main__ import COMPLETE
    from copick_core.cli.frame import command_line

    source = BashComplete(command_line, {}, "copick-core", COMPLETE).source() if shell == "bash" else ""
    return _SCRIPTS[shell].format(variable=COMPLETE, source=source)
