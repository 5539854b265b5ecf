#!/bin/sh
# Deploys to pods that are links to versions: pods/1 -> pods/v1.1.9. What was asked is written down.
set -eu
cd "$(dirname "$0")/pods"
verb=$1 version=${2:-} pod=${3:-}
# Whoever wants us killed around a step holds it at its begin or at its end.
hold() {
    if [ -p "hold-$1-$verb-$pod" ]; then cat "hold-$1-$verb-$pod" >/dev/null; fi
}
hold begin
case $verb in
migrate)
    echo "schema is at $version"
    ;;
deploy)
    echo "deploy $pod $version" >>journal
    # Whoever wants to see a deploy under way holds it here.
    if [ -p "gate-$pod" ]; then cat "gate-$pod" >/dev/null; fi
    if [ -e "broken-$pod-$version" ]; then
        echo "$version does not start on pod $pod: the payment module is missing"
        exit 1
    fi
    mkdir -p "$version"
    ln -sfn "$PWD/$version" "$pod"
    echo "pod $pod answers with $version"
    ;;
health)
    for each in 1 2; do test -d "$each" || { echo "pod $each is down"; exit 1; }; done
    echo "2 of 2 pods are up"
    ;;
live)
    for each in 1 2; do
        test "$(basename "$(readlink "$each")")" = "$version" ||
            { echo "pod $each does not serve $version"; exit 1; }
    done
    echo "1/1: both pods serve $version"
    ;;
esac
hold end
