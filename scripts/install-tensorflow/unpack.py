# unpack.py WHEEL FOLDER PREFIX...: extracts the files of a wheel whose names begin with one of the prefixes, and no header of
# CUDA; prints {path: {bytes, sha256}}.
import hashlib, json, os, sys, zipfile

wheel, folder, *prefixes = sys.argv[1:]
written = {}
installer = os.getppid()
with zipfile.ZipFile(wheel) as archive:
    for entry in archive.infolist():
        name = entry.filename
        if entry.is_dir() or not name.startswith(tuple(prefixes)):
            continue
        if name.startswith('nvidia/') and ('/include/' in name or name.endswith('.a')):
            continue
        path = os.path.realpath(os.path.join(folder, name))
        if not path.startswith(os.path.realpath(folder) + os.sep):
            sys.exit(f'{wheel} holds a file outside of its folder: {name}')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        digest = hashlib.sha256()
        with archive.open(entry) as source, open(path, 'wb') as target:
            while block := source.read(1 << 20):
                if os.getppid() != installer:
                    sys.exit('the installer was killed')
                digest.update(block)
                target.write(block)
        if entry.external_attr >> 16 & 0o100:
            os.chmod(path, 0o755)
        written[name] = {'bytes': entry.file_size, 'sha256': digest.hexdigest()}
json.dump(written, sys.stdout)
