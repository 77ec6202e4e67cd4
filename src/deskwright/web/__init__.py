"""The admin center and the user portal: pages made on the server, over the same application functions as the API.

Every page and every action stands in one table (`pages.PAGES`), by the decorators `page` and `action`; `app` serves
it. Templates are in `templates/`, what browsers load in `static/`.
"""
