# Sourced by the scripts that try mmcoat in throw-away environments; `root` is the checkout.

copy_source() { # copy_source FOLDER: the files of the checkout, without what builds left in it
    mkdir "$1"
    (cd "$root" && git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$1")
}

packages_of() { # packages_of PYTHON: the folder of its packages
    "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
}

stack() { # stack ENV PYTHON: the environment ENV also sees the packages of PYTHON, and leaves them as they are
    packages_of "$2" >"$(packages_of "$1/bin/python")/base.pth"
}
