# Waits until standard input ends, which it does when the story ends in whatever way, then kills
# every process that carries the marker $1 or works in the folder $2, and removes the folder.
set -u
marker=$1 dir=$2
trap '' INT TERM HUP
cat >/dev/null
for _ in 1 2 3; do
  for proc in /proc/[0-9]*; do
    case "$(readlink "$proc/cwd" 2>/dev/null)" in
      "$dir" | "$dir"/*) kill -9 "${proc#/proc/}" 2>/dev/null && continue ;;
    esac
    if { tr '\0' '\n' <"$proc/environ" | grep -qxF -- "$marker"; } 2>/dev/null; then
      kill -9 "${proc#/proc/}" 2>/dev/null
    fi
  done
done
[ -n "${HETUFLOW_TEST_KEEP:-}" ] || rm -rf "$dir"
