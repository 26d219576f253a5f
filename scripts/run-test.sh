#!/bin/sh
# Runs a test program for cargo: with sudo if it starts Postfix, otherwise as the
# current user.
case "$1" in
*/e2e-*) exec sudo -E "$@" ;;
*) exec "$@" ;;
esac
