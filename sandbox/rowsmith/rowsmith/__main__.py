import sys

from rowsmith.command import main

sys.exit(main(sys.argv[1:]))
