# Sourced by bash, first of all: what is set here, the next init.sh can use.
# Do not call exit: the ones after it would not be reached, and init has failed then.
example_dir="$ADD_HOME/example"
mkdir -p "$example_dir"
