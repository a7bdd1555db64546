"""Answers: public pages and badges, the API, management; from memory where it is asked often."""
