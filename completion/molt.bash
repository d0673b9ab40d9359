# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for molt; the verbs and options come from `molt --help` itself.

_molt_words()
{
	"$1" "${@:2}" 2>/dev/null
}

_molt()
{
	local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} molt=${COMP_WORDS[0]}
	local verb=${COMP_WORDS[1]} words
	COMPREPLY=()

	if ((COMP_CWORD == 1)); then
		words=$(_molt_words "$molt" --help | sed -n 's/^  \([a-z]\+\) .*/\1/p')
		mapfile -t COMPREPLY < <(compgen -W "$words --help --version" -- "$cur")
		return
	fi
	if [[ $cur == -* ]]; then
		words=$(_molt_words "$molt" help "$verb" | grep -oE -- '--[a-z][a-z-]*' | sort -u)
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return
	fi
	case $prev in
	--debug | --store | -o | --output)
		compopt -o dirnames 2>/dev/null
		return ;;
	--exe)
		compopt -o default 2>/dev/null
		return ;;
	--unit)
		words=$(systemctl list-units --type=service --plain --no-legend 2>/dev/null | cut -d' ' -f1)
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return ;;
	--module)
		compopt -o default 2>/dev/null
		return ;;
	--files)
		mapfile -t COMPREPLY < <(compgen -W "exact append-ok any" -- "$cur")
		return ;;
	--into)
		compopt -o default 2>/dev/null
		return ;;
	--replace)
		words=$(cd /proc && printf '%s\n' [0-9]*)
		mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
		return ;;
	--wait | --name | --parent | --at | --keep-old | --confirm | --health | --to | --keep | --older-than | --pid)
		return ;;
	esac
	case $verb in
	explain)
		words=$(_molt_words "$molt" explain | cut -d' ' -f1) ;;
	status | checkpoint)
		words=$(cd /proc && printf '%s\n' [0-9]*) ;;
	symbols)
		words=$(cd /proc && printf '%s\n' [0-9]*)
		compopt -o default 2>/dev/null ;;
	update | plan | revert)
		if ! _molt_has_pid; then
			words=$(cd /proc && printf '%s\n' [0-9]*)
		else
			compopt -o default 2>/dev/null
			return
		fi ;;
	rollback)
		if ! _molt_has_pid; then
			words=$(cd /proc && printf '%s\n' [0-9]*)
		else
			words=$(_molt_words "$molt" list | grep -oE '^[0-9]{6,}')
		fi ;;
	show | rm | verify | restore)
		words=$(_molt_words "$molt" list | grep -oE '^[0-9]{6,}') ;;
	help)
		words=$(_molt_words "$molt" --help | sed -n 's/^  \([a-z]\+\) .*/\1/p') ;;
	diff)
		compopt -o default 2>/dev/null
		return ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

# True when a word before the cursor says which process already (and is not the number of --wait).
_molt_has_pid()
{
	local i
	for ((i = 2; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i-1]} == --exe || ${COMP_WORDS[i-1]} == --unit ]] && return 0
		[[ ${COMP_WORDS[i]} =~ ^[0-9]+$ && ! ${COMP_WORDS[i-1]} =~ ^--(wait|to|confirm)$ ]] && return 0
	done
	return 1
}

complete -F _molt molt
