from deskwright.cli import main

main()
