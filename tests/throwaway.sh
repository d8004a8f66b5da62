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

block() { # block FILE TEXT: the only bash block of the file that has the text; needs $python and $root
    "$python" - "$root/$1" "$2" <<'END'
import re, sys, textwrap
text = open(sys.argv[1], encoding='utf-8').read()
found = [b for _, b in re.findall(r'^( *)```bash\n(.*?)^\1```$', text, re.M | re.S) if sys.argv[2] in b]
if len(found) != 1:
    sys.exit(f'{sys.argv[1]}: {len(found)} bash blocks with {sys.argv[2]!r}, not one')
print(textwrap.dedent(found[0]))
END
}
