# Runs one throw-away PostgreSQL: $1 its folder, $2 initdb, then postgres with its arguments.
# Ends with PostgreSQL, or ends it when standard input ends, and then removes the folder.
set -u
dir=$1 initdb=$2
shift 2
exec 3<&0 </dev/null
"$initdb" --pgdata="$dir/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C \
  --no-sync --no-instructions 3<&- || exit 1
"$@" 3<&- &
pid=$!
{
  cat <&3 >/dev/null
  # Repeated, because a postmaster that is just being started does not listen to it yet.
  while kill -QUIT "$pid" 2>/dev/null; do sleep 0.1; done
} &
exec 3<&-
wait "$pid"
code=$?
rm -rf "$dir"
exit "$code"
