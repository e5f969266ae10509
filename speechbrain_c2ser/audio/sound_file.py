"""soundfile without what it believes of a file's name and header."""

import soundfile


class Sound(soundfile.SoundFile):
    """Reads to the end: soundfile goes by the header, and seeks after each."""

    def seekable(self):
        return False


class Nameless:
    """The part of a file that soundfile needs."""

    def __init__(self, file):
        self.read, self.tell, self._seek = file.read, file.tell, file.seek
        self.readinto = getattr(file, "readinto", None) or self._readinto

    def seek(self, offset, whence=0):
        """As any file's; nowhere, where a damaged header sends it."""
        try:
            return self._seek(offset, whence)
        except (OSError, ValueError):
            return self.tell()

    def _readinto(self, buffer):
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)
