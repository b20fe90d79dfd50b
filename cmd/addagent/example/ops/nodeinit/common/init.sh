# bash sources this file first, so the next init.sh can use what is set here.
# Do not call exit: it would skip the next scripts, and the init would fail.
example_dir="$ADD_HOME/example"
mkdir -p "$example_dir"
