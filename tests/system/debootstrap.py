# SPDX-License-Identifier: GPL-3.0-or-later
"""Installed Debians, in a cache that outlives the tests."""
import fcntl
import os
import pathlib
import shutil
import subprocess

import vm


def installed(name, packages):
    """The folder of a system with these packages."""
    vm.need('debootstrap')
    if os.geteuid() != 0:
        raise vm.Skip('debootstrap needs to be root')
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', os.path.expanduser('~/.cache'))) / 'vitrine-tests'
    root = cache / name
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / f'{name}.lock', 'w') as lock:  # tests beside each other
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            work = cache / f'{name}.new'
            shutil.rmtree(work, ignore_errors=True)
            done = subprocess.run(['debootstrap', '--variant=minbase', f'--include={packages}', 'bookworm', work,
                                   'http://deb.debian.org/debian'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if done.returncode:
                raise vm.Skip('debootstrap cannot get the packages')
            os.rename(work, root)
    return root


def copy(root):
    """One to change, without what a guest does not need."""
    target = vm.scratch() / 'root'
    subprocess.run(['cp', '-a', '--reflink=auto', root, target], check=True)
    for part in ('var/cache/apt', 'var/lib/apt/lists'):
        shutil.rmtree(target / part, ignore_errors=True)
    return target
