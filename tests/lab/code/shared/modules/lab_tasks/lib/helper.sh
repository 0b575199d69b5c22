helper() { echo "helped with $1"; }
