#!/bin/sh
# The entrypoint of the image, under the name and with the manners of the one in the official Redis image: arguments that
# are flags, or begin with a configuration file, are redis-server's; anything else is a command of its own.
set -e
case ${1-} in
    '' | -* | *.conf) set -- redis-server "$@" ;;
esac
exec "$@"
